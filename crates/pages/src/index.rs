//! `index.html` as it goes out: with what the page has to know before its first request, and with what a shared link
//! shows of it.

use std::borrow::Cow;

use service_kit::file::File;
use service_kit::preview::Preview;

/// What `index.html` has where the configuration goes.
const CONFIG: &str = "<meta name=\"madang\" content=\"\"";
/// What it has where the preview goes, its title and description included.
const HEAD: (&str, &str) = ("<!-- preview -->", "<!-- /preview -->");
/// Most characters of a description in a preview: what is longer nobody shows.
const MAX_DESCRIPTION: usize = 200;

/// What a page says of itself to whom a link of it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    /// The broadcast.
    pub(crate) preview: Preview,
    /// Its id.
    pub(crate) id: i64,
    /// What its URLs begin with.
    pub(crate) base: String,
}

/// `index.html` with the configuration `config` (JSON) and, where it shows one broadcast, what that is.
pub(crate) fn page(version: &str, html: &str, config: &str, shared: Option<&Shared>) -> File {
    let config = format!("<meta name=\"madang\" content=\"{}\"", escaped(config));
    let mut html = html.replacen(CONFIG, &config, 1);
    if let Some(shared) = shared
        && let Some((before, rest)) = html.split_once(HEAD.0)
        && let Some((_, after)) = rest.split_once(HEAD.1)
    {
        html = format!("{before}{}{after}", tags(shared));
    }
    // The same file says something else with other settings, and of a broadcast with each change of its texts.
    let version = format!("{version}-{:016x}", fingerprint(&html));
    File::new(&version, "text/html; charset=utf-8", Cow::Owned(html.into_bytes()))
}

fn tags(Shared { preview, id, base }: &Shared) -> String {
    let title = if preview.title.is_empty() { "Madang" } else { &preview.title };
    let description: String = match preview.description.as_str() {
        "" => "Live video in your browser.".into(),
        text => text.chars().take(MAX_DESCRIPTION).collect(),
    };
    let (title, description, base) = (escaped(title), escaped(&description), escaped(base));
    let image = preview.picture.as_ref().map(|version| {
        let url = format!("{base}/broadcasts/{id}/thumbnail?v={}", escaped(version));
        format!(
            "<meta property=\"og:image\" content=\"{url}\" />\n    \
             <meta name=\"twitter:card\" content=\"summary_large_image\" />\n    "
        )
    });
    format!(
        "<title>{title} · Madang</title>\n    \
         <meta name=\"description\" content=\"{description}\" />\n    \
         <meta property=\"og:type\" content=\"video.other\" />\n    \
         <meta property=\"og:site_name\" content=\"Madang\" />\n    \
         <meta property=\"og:title\" content=\"{title}\" />\n    \
         <meta property=\"og:description\" content=\"{description}\" />\n    \
         <meta property=\"og:url\" content=\"{base}/watch/{id}\" />\n    {}\
         <link rel=\"canonical\" href=\"{base}/watch/{id}\" />",
        image.unwrap_or_default()
    )
}

/// FNV-1a: tells two texts apart, and nobody gains anything by making two alike.
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `text` as it stands in an attribute or between tags.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\r' | '\t' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use actix_web::HttpResponse;
    use actix_web::body::MessageBody as _;
    use actix_web::http::header;
    use actix_web::test::TestRequest;

    use super::*;

    const HTML: &str = "<html><head><meta name=\"madang\" content=\"\" />\
        <!-- preview --><title>Madang</title><!-- /preview --></head></html>";

    fn shared(title: &str, picture: Option<&str>) -> Shared {
        let preview = Preview {
            title: title.into(),
            description: "line\nline \"quoted\"".into(),
            picture: picture.map(str::to_owned),
        };
        Shared { preview, id: 7, base: "https://live.example".into() }
    }

    fn served(file: &File) -> (String, String) {
        let response = file.answer(&TestRequest::get().to_http_request(), HttpResponse::Ok());
        let tag = response.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        let bytes = response.into_body().try_into_bytes().unwrap();
        (String::from_utf8(bytes.to_vec()).unwrap(), tag)
    }

    #[test]
    fn the_configuration_is_in_the_page() {
        let (_, other) = served(&page("1", HTML, "{}", None));
        let (html, tag) = served(&page("1", HTML, "{\"dev\":true,\"version\":\"<1>\"}", None));
        let expected = "content=\"{&quot;dev&quot;:true,&quot;version&quot;:&quot;&lt;1&gt;&quot;}\"";
        assert!(html.contains(expected) && html.contains("<title>Madang</title>"), "{html}");
        assert_ne!(tag, other);
    }

    #[test]
    fn a_shared_link_shows_the_broadcast_and_no_text_becomes_markup() {
        let evil = shared("\"><script>alert(1)</script>", Some("\"1\""));
        let (html, tag) = served(&page("1", HTML, "{}", Some(&evil)));
        assert!(!html.contains("<script") && !html.contains("<title>Madang</title>"), "{html}");
        assert!(html.contains("og:title\" content=\"&quot;&gt;&lt;script&gt;"), "{html}");
        assert!(html.contains("og:description\" content=\"line line &quot;quoted&quot;\""), "{html}");
        let image = "og:image\" content=\"https://live.example/broadcasts/7/thumbnail?v=&quot;1&quot;\"";
        assert!(html.contains(image), "{html}");
        assert!(html.contains("og:url\" content=\"https://live.example/watch/7\""), "{html}");
        let (html, other) = served(&page("1", HTML, "{}", Some(&shared("b", None))));
        assert!(!html.contains("og:image") && tag != other, "{html}");
    }

    #[test]
    fn a_page_without_the_places_is_served_as_it_is() {
        let (html, _) = served(&page("1", "<html></html>", "{}", Some(&shared("a", None))));
        assert_eq!(html, "<html></html>");
    }
}
