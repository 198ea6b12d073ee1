//! The other end of a run: who has the files.

use std::io::{self, Read, Write};
use std::path::Path;

use super::names::NeededFile;
use crate::action::Gift;

/// Who has the files.
pub trait Production {
    /// The names of all its files, NUL after each.
    ///
    /// # Errors
    /// It cannot be asked.
    fn list(&mut self) -> io::Result<Box<dyn Read + '_>>;
    /// The stream of these files.
    ///
    /// # Errors
    /// It cannot be asked.
    fn fetch(&mut self, files: &[NeededFile]) -> io::Result<Box<dyn Read + '_>>;
}

/// Production, by whoever has a way to it.
pub struct Asked<'a> {
    /// The store there.
    pub source: &'a Path,
    /// The way.
    pub give: &'a mut dyn FnMut(&Gift) -> io::Result<Box<dyn Read + Send>>,
}

impl Production for Asked<'_> {
    fn list(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok((self.give)(&Gift::listing(self.source))?)
    }

    fn fetch(&mut self, files: &[NeededFile]) -> io::Result<Box<dyn Read + '_>> {
        let mut names = Vec::with_capacity(files.len() * 44);
        for file in files {
            write!(names, "{}\0", file.name)?;
        }
        Ok((self.give)(&Gift::store(self.source, files.len() as u64, names))?)
    }
}
