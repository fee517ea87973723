//! Every reason has its code and its details.
