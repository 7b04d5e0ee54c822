//! temporary
use crate::NodeOptions;
pub struct Config { pub path: Option<std::path::PathBuf> }
impl Config { pub fn in_memory() -> Config { Config { path: None } } pub fn node_options(&self) -> NodeOptions { NodeOptions::default() } }
