//! Every rule of a submit, one case each.
