//! Tests of the whole package.

#[cfg(test)]
mod programs;
