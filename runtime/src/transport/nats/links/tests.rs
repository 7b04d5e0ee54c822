//! Links as two or more nodes see them, on wires that lose and repeat, and a clock that is moved.

mod carrying;
mod ends;
mod hostile;
mod meeting;
mod network;
mod properties;
