//! Places written down: for people and programs without the bytes, for ourselves with all of it.
//!
//! Most places of one value lie in one file. Where nobody reads what is written, a file that is the last place's is not
//! written again; [`afresh`] begins a value that is read by itself.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Place;

thread_local! {
    static LAST: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Begins a value that is written or read without those before it.
pub(crate) fn afresh() {
    LAST.set(None);
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let mut place = serializer.serialize_struct("Place", 3)?;
            place.serialize_field("file", &*self.file)?;
            place.serialize_field("line", &self.line)?;
            place.serialize_field("column", &self.column)?;
            return place.end();
        }
        let file = LAST.with_borrow_mut(|last| {
            let is_same = last.as_ref().is_some_and(|last| *last == self.file);
            if !is_same {
                *last = Some(Arc::clone(&self.file));
            }
            (!is_same).then_some(&*self.file)
        });
        (file, self.line, self.column, self.bytes.start, self.bytes.end).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    /// Only of what was written for ourselves: what people read lacks the bytes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (file, line, column, start, end) =
            <(Option<&str>, u32, u32, usize, usize) as Deserialize>::deserialize(deserializer)?;
        let file = LAST.with_borrow_mut(|last| match file {
            Some(file) => Some(Arc::clone(last.insert(Arc::from(file)))),
            None => last.clone(),
        });
        let file = file.ok_or_else(|| serde::de::Error::custom("a place without a file"))?;
        Ok(Self { file, line, column, bytes: Range { start, end } })
    }
}
