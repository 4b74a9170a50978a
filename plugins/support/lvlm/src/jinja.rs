//! Templates as transformers runs them.

use std::fmt::Write;

use chrono::Local;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// The name of the template in its environment.
pub(crate) const TEMPLATE: &str = "chat";

/// An environment that treats a template as transformers treats it.
pub(crate) fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    // Marks what was trained on; a tag of transformers that writes nothing.
    let source = source
        .replace("endgeneration", "endif")
        .replace("{% generation", "{% if true")
        .replace("{%- generation", "{%- if true");
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.add_template_owned(TEMPLATE, source)?;
    Ok(environment)
}

/// The local time now, in the manner of C's `strftime`.
fn strftime_now(format: &str) -> Result<String, Error> {
    tracing::warn!(
        "the chat template writes the time of day ({format}): the model may answer otherwise tomorrow"
    );
    let mut text = String::new();
    match write!(text, "{}", Local::now().format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now does not know the format {format:?}"),
        )),
    }
}

/// JSON as Python writes it: a space after commas and colons, nothing escaped for HTML; on several lines with `indent`.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    match indent {
        Some(width) => {
            let spaces = " ".repeat(width);
            json(value, PrettyFormatter::with_indent(spaces.as_bytes()))
        }
        None => json(value, Spaced),
    }
}

fn json(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let wrong = |error: String| Error::new(ErrorKind::BadSerialization, error);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))
}

/// A space after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
