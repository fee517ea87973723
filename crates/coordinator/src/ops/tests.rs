//! The pages of the port, over real sockets.
