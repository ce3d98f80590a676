//! The kit itself: what others take for granted of it.

mod real_node;
