//! Who is answered: requests that only read, to a name that is ours.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// The names that requests may be made to, besides those of the loopback interface.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// These, too.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect())
    }

    /// A page of somebody else can give its name our address, and then ask us as if we were that page's own server. The name stays
    /// in the header. The port does not matter: it may be another one on the way here, and says nothing about who asks.
    fn has(&self, host: &str) -> bool {
        let host = host.trim().to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        ["localhost", "127.0.0.1", "[::1]"].contains(&name) || self.0.iter().any(|ours| ours == name)
    }
}

/// Why a request is refused; nothing if it is not.
pub fn refuse(names: &Names, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let of_uri = uri.host().is_none_or(|host| names.has(host));
    if hosts.next().is_some() || !of_uri || !host.is_some_and(|host| names.has(host)) {
        let why = "This is answered at its own address only, such as 127.0.0.1; another name is given by LAB_NAMES.\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, why).into_response());
    }
    // HEAD is a GET without its body: axum answers it so.
    if !matches!(*method, Method::GET | Method::HEAD) {
        let allow = [(HeaderName::from_static("allow"), HeaderValue::from_static("GET, HEAD"))];
        return Some((StatusCode::METHOD_NOT_ALLOWED, allow, "This only reads.\n").into_response());
    }
    is_foreign(uri, headers)
        .then(|| (StatusCode::FORBIDDEN, "A page of somebody else asks nothing here.\n").into_response())
}

/// Whether a browser asks for a page of another site. That page could read no answer, and take places that answers need. A link
/// to our page may be followed from anywhere.
fn is_foreign(uri: &Uri, headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get_all(name).iter().any(|given| given == value);
    let is_link = uri.path() == "/" && is("sec-fetch-mode", "navigate");
    is("sec-fetch-site", "cross-site") && !is_link
}

/// What all answers have: nothing from elsewhere is loaded, nothing is guessed, and nobody is told where one came from.
pub fn protect(response: &mut Response) {
    let headers = response.headers_mut();
    let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn status(host: &str, method: Method) -> Option<u16> {
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        }
        let names = Names::new(["Lab".to_owned()]);
        refuse(&names, &method, &Uri::from_static("/"), &headers).map(|response| response.status().as_u16())
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:9000", "lab:8080", "lab"] {
            assert_eq!(status(host, Method::GET), None, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "::1",
            "a:b",
        ] {
            assert_eq!(status(host, Method::GET), Some(421), "{host}");
        }
    }

    #[test]
    fn pages_of_others_ask_nothing() {
        let asked = |path: &'static str, site: &'static str, mode: &'static str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("host", "localhost:8080"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let refused = refuse(&Names::default(), &Method::GET, &Uri::from_static(path), &headers);
            refused.map(|response| response.status().as_u16())
        };
        assert_eq!(asked("/api/events", "cross-site", "no-cors"), Some(403));
        assert_eq!(asked("/api/events", "cross-site", "navigate"), Some(403));
        assert_eq!(asked("/", "cross-site", "no-cors"), Some(403));
        assert_eq!(asked("/", "cross-site", "navigate"), None);
        for site in ["same-origin", "same-site", "none"] {
            assert_eq!(asked("/api/events", site, "cors"), None, "{site}");
        }
    }

    #[test]
    fn only_reading_is_allowed() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(status("localhost", method.clone()), Some(405), "{method}");
        }
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(status("localhost", method.clone()), None, "{method}");
        }
    }
}
