use rusqlite::types::Value;

/// The conditions of a query, joined by AND, with their values.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Clauses {
    /// Adds a condition; its text never comes from outside.
    pub(super) fn add(&mut self, text: &str) {
        self.texts.push(text.to_owned());
    }

    /// Adds a condition with one value, if the value is present.
    pub(super) fn add_some(&mut self, text: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add_all(text, [value.into()]);
        }
    }

    /// Adds a condition with one value for each question mark.
    pub(super) fn add_all(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        self.add(text);
        self.values.extend(values);
    }

    /// Adds the condition that a column equals one of these texts, unless the list is empty.
    pub(super) fn add_one_of(&mut self, what: &str, of: &[&str]) {
        if !of.is_empty() {
            let marks = vec!["?"; of.len()].join(", ");
            let values = of.iter().map(|text| Value::from((*text).to_owned()));
            self.add_all(&format!("{what} IN ({marks})"), values);
        }
    }

    /// All conditions as a WHERE clause.
    pub(super) fn condition(&self) -> String {
        match self.texts.is_empty() {
            true => String::new(),
            false => format!("WHERE ({})", self.texts.join(") AND (")),
        }
    }

    /// The values in order, followed by a number.
    pub(super) fn values_with(
        &self,
        last: i64,
    ) -> rusqlite::ParamsFromIter<impl Iterator<Item = Value>> {
        rusqlite::params_from_iter(self.values.iter().cloned().chain([last.into()]))
    }

    /// The values in order.
    pub(super) fn values(&self) -> rusqlite::ParamsFromIter<&[Value]> {
        rusqlite::params_from_iter(&self.values[..])
    }
}
