use rusqlite::types::Value;

/// The conditions of a query, all of which hold, with the values that they compare with.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Clauses {
    /// Adds a condition; its text is never of anybody else's.
    pub(super) fn add(&mut self, text: &str) {
        self.texts.push(text.to_owned());
    }

    /// Adds a condition with one value, if there is one.
    pub(super) fn add_some(&mut self, text: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add_all(text, [value.into()]);
        }
    }

    /// Adds a condition with a value for each question mark.
    pub(super) fn add_all(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        self.add(text);
        self.values.extend(values);
    }

    /// Adds that something is one of these texts, if there are any.
    pub(super) fn add_one_of(&mut self, what: &str, of: &[&str]) {
        if !of.is_empty() {
            let marks = vec!["?"; of.len()].join(", ");
            let values = of.iter().map(|text| Value::from((*text).to_owned()));
            self.add_all(&format!("{what} IN ({marks})"), values);
        }
    }

    /// All of them, to follow the tables of a query.
    pub(super) fn condition(&self) -> String {
        match self.texts.is_empty() {
            true => String::new(),
            false => format!("WHERE ({})", self.texts.join(") AND (")),
        }
    }

    /// What they compare with, in order, and a number for the last one.
    pub(super) fn values_with(
        &self,
        last: i64,
    ) -> rusqlite::ParamsFromIter<impl Iterator<Item = Value>> {
        rusqlite::params_from_iter(self.values.iter().cloned().chain([last.into()]))
    }

    /// What they compare with, in order.
    pub(super) fn values(&self) -> rusqlite::ParamsFromIter<&[Value]> {
        rusqlite::params_from_iter(&self.values[..])
    }
}
