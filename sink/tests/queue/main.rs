//! The embedded queue as its users see it: real files, real threads, and disks that fail on request.

mod fixture;
mod follow;
mod round_trip;
