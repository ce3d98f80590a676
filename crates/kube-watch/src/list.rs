//! List: all objects of a kind, page by page, none larger than what there is memory for.

use std::time::Duration;

use futures_util::AsyncReadExt;
use kube::Client;
use kube::core::params::{ListParams, VersionMatch};
use kube::core::{Request, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Kind;

/// Longest that a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of a page: ten times what 500 usual resources are.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// Objects of a page, as long as they are not too large.
const PAGE_OBJECTS: u32 = 500;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("{0}")]
    Api(Box<Status>),
    #[error("{0}")]
    Client(Box<kube::Error>),
    #[error("the list broke off: {0}")]
    Read(std::io::Error),
    #[error("no list: {0}")]
    Json(serde_json::Error),
    #[error("no page within {} s", PAGE_TIMEOUT.as_secs())]
    Late,
    #[error("one object is larger than {PAGE_BYTES_MAX} bytes")]
    TooLarge,
    /// The rest of the pages is gone, since it took too long.
    #[error("the list expired while it was read")]
    Expired,
}

/// How a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Whatever the server has in memory: costs it nothing, and may be old.
    Any,
    /// What is true now.
    Now,
}

/// Lists a kind; hands over each object, and returns the version that a watch goes on from.
pub(crate) async fn list<T: DeserializeOwned>(
    client: &Client,
    kind: Kind,
    fields: Option<&str>,
    freshness: Freshness,
    mut each: impl FnMut(T),
) -> Result<String, ListError> {
    let request = Request::new(kind.url_path());
    let mut params =
        ListParams { field_selector: fields.map(str::to_owned), ..ListParams::default() };
    if freshness == Freshness::Any {
        // Pages are of what is true now; a node's pods need none.
        params.resource_version = Some("0".to_owned());
        params.version_match = Some(VersionMatch::NotOlderThan);
    } else {
        params.limit = Some(PAGE_OBJECTS);
    }
    loop {
        let read = tokio::time::timeout(PAGE_TIMEOUT, page(client, &request, &params));
        let Some(bytes) = read.await.map_err(|_| ListError::Late)?? else {
            // Fewer at a time, and those that are there already by another look at the same place.
            params.limit = match params.limit {
                None => Some(PAGE_OBJECTS / 4),
                Some(1) => return Err(ListError::TooLarge),
                Some(limit) => Some((limit / 4).max(1)),
            };
            (params.resource_version, params.version_match) = (None, None);
            continue;
        };
        let page: Page<T> = serde_json::from_slice(&bytes).map_err(ListError::Json)?;
        drop(bytes);
        page.items.into_iter().for_each(&mut each);
        match page.metadata.r#continue.filter(|it| !it.is_empty()) {
            None => return Ok(page.metadata.resource_version.unwrap_or_default()),
            Some(token) => params.continue_token = Some(token),
        }
    }
}

/// The bytes of one page; `None` if they are too many.
async fn page(
    client: &Client,
    request: &Request,
    params: &ListParams,
) -> Result<Option<Vec<u8>>, ListError> {
    let request = request.list(params).map_err(|it| client_error(kube::Error::BuildRequest(it)))?;
    let body = client.request_stream(request).await.map_err(client_error)?;
    let mut bytes = Vec::new();
    let mut body = std::pin::pin!(body.take(PAGE_BYTES_MAX + 1));
    body.read_to_end(&mut bytes).await.map_err(ListError::Read)?;
    Ok((bytes.len() as u64 <= PAGE_BYTES_MAX).then_some(bytes))
}

fn client_error(error: kube::Error) -> ListError {
    match error {
        kube::Error::Api(status) if status.code == GONE => ListError::Expired,
        kube::Error::Api(status) => ListError::Api(status),
        other => ListError::Client(Box::new(other)),
    }
}

/// What the server says when it does not remember so far back.
pub(crate) const GONE: u16 = 410;

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    resource_version: Option<String>,
    r#continue: Option<String>,
}
