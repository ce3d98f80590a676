//! A fake Kubernetes API server for tests: what a real one cannot be made to do at will.
//!
//! It lists (by pages) and watches (with bookmarks) whatever kinds it is given, forgets history at a chosen
//! moment, falls silent while connections stay open, cuts them, refuses them, and takes its time. It counts
//! what it is asked.
//!
//! Its limits: HTTP without TLS, no identity and no rights; no schema, defaults or conversion; of selectors
//! only `spec.nodeName`; a page shows what is true when it is asked for, not when its list began; nothing but
//! GET. What depends on any of this is shown with a real API server only. It is not shipped.
//!
//! ```
//! let api = kube_kit::ApiServer::start().unwrap();
//! let pod = serde_json::json!({"metadata": {"namespace": "shop", "name": "web-0", "uid": "1"}});
//! api.apply("pods", pod);
//! assert!(api.requests().is_empty());
//! ```

#![forbid(unsafe_code)]

mod answer;
mod http;
mod server;
mod store;

pub use http::Request;
pub use server::ApiServer;
