//! What a configuration file may say, and what is said back where it is wrong.
