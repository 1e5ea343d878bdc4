use std::io;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use ureq::Agent;
use ureq::http::Uri;

use crate::failure::Failure;

/// The path of traces below a collector's address.
const PATH: &str = "v1/traces";
/// The limit for one batch.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest response that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// Headers for the collector, as OpenTelemetry names and writes them: `name=value,name=value`.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// A collector that receives OTLP over HTTP.
#[derive(Debug)]
pub(crate) struct Collector {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    /// The number of accepted spans.
    pub(crate) sent: usize,
}

impl Collector {
    /// A collector at an address; `/v1/traces` is appended unless it is there.
    pub(crate) fn at(endpoint: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let shown = endpoint.escape_debug();
            Failure::Usage(format!(
                "`{shown}` is not the address of a collector: {why}"
            ))
        };
        let uri: Uri = endpoint
            .parse()
            .map_err(|_| wrong("write it as http://host:4318"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong(
                    "this command supports plain HTTP only; send to a collector on this host that forwards by TLS",
                ));
            }
            _ => return Err(wrong("write it as http://host:4318")),
        }
        let base = endpoint.trim_end_matches('/');
        let url = match base.ends_with(PATH) {
            true => base.to_owned(),
            false => format!("{base}/{PATH}"),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .build();
        Ok(Self {
            agent: config.into(),
            url,
            headers: headers(&std::env::var(HEADERS).unwrap_or_default())?,
            sent: 0,
        })
    }

    /// Sends one batch.
    pub(crate) fn send(&mut self, batch: &ExportTraceServiceRequest) -> Result<(), Failure> {
        let spans = count(batch);
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send(&batch.encode_to_vec()[..]);
        let mut answer = answer.map_err(|error| self.failed(error.into_io()))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_vec();
        let body = body.map_err(|error| self.failed(error.into_io()))?;
        if !status.is_success() {
            let again = match status.as_u16() {
                429 | 502 | 503 | 504 => "; it may accept them later",
                _ => "",
            };
            let said = format!("the collector answered {status}{again}");
            return Err(self.failed(io::Error::other(said)));
        }
        let taken = ExportTraceServiceResponse::decode(&body[..]).unwrap_or_default();
        let refused = taken.partial_success.unwrap_or_default();
        if refused.rejected_spans > 0 {
            let (number, why) = (refused.rejected_spans, refused.error_message);
            let said = format!(
                "the collector refused {number} spans: {}",
                why.escape_debug()
            );
            return Err(self.failed(io::Error::other(said)));
        }
        self.sent += spans;
        Ok(())
    }

    /// The error, with the number of spans sent before; sending them again is harmless.
    fn failed(&self, source: io::Error) -> Failure {
        let what = format!(
            "send spans to `{}` after {} were accepted (sending everything again is safe: spans keep their ids)",
            self.url.escape_debug(),
            self.sent
        );
        Failure::io(what, source)
    }
}

/// The number of spans of a batch.
fn count(batch: &ExportTraceServiceRequest) -> usize {
    let scopes = batch.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

fn headers(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            // The value may be a secret, so it is not shown.
            Failure::Usage(format!(
                "{HEADERS} is not a list of name=value, with commas between"
            ))
        })?;
        Ok((name.trim().to_owned(), decoded(value.trim())))
    });
    pairs.collect()
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let hex = others.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_once() {
        let url = |endpoint| Collector::at(endpoint).map(|collector| collector.url).ok();
        let whole = Some("http://host:4318/v1/traces".to_owned());
        assert_eq!(url("http://host:4318"), whole);
        assert_eq!(url("http://host:4318/"), whole);
        assert_eq!(url("http://host:4318/v1/traces"), whole);
        assert_eq!(url("https://host"), None);
        assert_eq!(url("host"), None);
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = headers("api-key=a%20b, x=1=2").unwrap();
        let expected = [("api-key", "a b"), ("x", "1=2")];
        assert_eq!(read, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(headers("secret").is_err_and(|error| !error.to_string().contains("secret ")));
    }
}
