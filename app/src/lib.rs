//! The one program: composition and command line.
