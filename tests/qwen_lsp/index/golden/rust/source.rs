//! Items and größe.
use std::collections::HashMap;
use std::fmt::{self, Display, Write as W};
use crate::util::*;
use serde;
use super::{model::Item, price};
extern crate alloc;

pub const LIMIT: usize = 10;
static mut COUNT: u32 = 0;
type Names = Vec<String>;

macro_rules! square {
    ($x:expr) => {
        $x * $x
    };
}

/// Keeps items.
#[derive(Debug, Clone)]
pub struct Stock<T> {
    pub items: HashMap<String, T>,
    größe: usize,
}

struct Pair(i32, i32);
struct Unit;

union Bits {
    int: u32,
    float: f32,
}

pub enum Color {
    Red,
    Green { depth: u8 },
    Blue(u8),
}

pub trait Shelf {
    type Item;
    const SIZE: usize = 3;

    fn put(&mut self, item: Self::Item) -> bool;

    fn size(&self) -> usize {
        Self::SIZE
    }
}

impl<T: Display> Stock<T> {
    pub fn new(limit: usize) -> Self {
        let local = square!(limit);
        fn helper(n: usize) -> usize {
            n + LIMIT
        }
        Self { items: HashMap::with_capacity(helper(local)), größe: 0 }
    }
}

impl<T> Shelf for Stock<T>
where
    T: Clone,
{
    type Item = T;

    fn put(
        &mut self,
        item: T,
    ) -> bool {
        self.items.insert("📦".into(), item).is_none()
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", price::of(Item::default()))
    }
}

mod tests {
    use super::*;

    #[test]
    fn it_works() {
        assert!(Stock::<Pair>::new(1).items.is_empty());
    }
}

pub async unsafe fn load<'a>(path: &'a str) -> Option<Unit> {
    None
}
