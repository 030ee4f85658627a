//! SDP fragments for trickle ICE and ICE restarts: `application/trickle-ice-sdpfrag` (RFC 8840, RFC 9725 4.3).

use rtp::Mid;

use super::types::ice_credentials;
use super::write::Writer;
use super::{Candidate, Local, MAX_CANDIDATES, MAX_MEDIA, MAX_SDP_LEN, SdpError};
use crate::IceCredentials;

/// A fragment: new candidates of a session, or new credentials (a restart).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Credentials that the candidates belong to. Where they differ from the session's, it is an ICE restart.
    pub ice: Option<IceCredentials>,
    /// Candidates by m-line.
    pub media: Vec<FragmentMedia>,
}

/// The part of a fragment that belongs to one m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentMedia {
    /// The m-line.
    pub mid: Mid,
    /// New candidates.
    pub candidates: Vec<Candidate>,
    /// There will be no more.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Parses a fragment. Lines that it does not know are ignored; candidates it cannot read, too.
    ///
    /// # Errors
    /// [`SdpError`]: not a fragment, beyond a limit, half of the credentials, or candidates before any m-line.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_LEN {
            return Err(SdpError::TooLong(text.len()));
        }
        let mut fragment = Self::default();
        let (mut ufrag, mut pwd) = (None, None);
        let mut section: Option<Section> = None;
        let mut found = 0usize;
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let Some((kind, value)) = line.split_once('=') else {
                return Err(SdpError::Syntax("a line is not `letter=value`".into()));
            };
            if kind == "m" {
                finish(&mut fragment, section.take())?;
                section = Some(Section::default());
                continue;
            }
            if kind != "a" {
                continue;
            }
            let (name, value) = value.split_once(':').unwrap_or((value, ""));
            match name {
                // RFC 8840 has them at session level, libwebrtc's in each m-line: all of one transport are the same.
                "ice-ufrag" => ufrag = ufrag.or(Some(value.trim())),
                "ice-pwd" => pwd = pwd.or(Some(value.trim())),
                "mid" => match section.as_mut() {
                    Some(section) => section.mid = Some(value.trim().parse()?),
                    None => return Err(SdpError::Syntax("`a=mid` stands before any `m=` line".into())),
                },
                "candidate" => {
                    found = found.saturating_add(1);
                    if found > MAX_CANDIDATES {
                        return Err(SdpError::TooMany { what: "candidates", limit: MAX_CANDIDATES });
                    }
                    let Some(section) = section.as_mut() else {
                        return Err(SdpError::Syntax("`a=candidate` stands before any `m=` line".into()));
                    };
                    section.candidates.extend(Candidate::parse(value).ok());
                }
                // At session level it counts for the whole session (RFC 8840, 4.2); nobody waits for it here.
                "end-of-candidates" => {
                    if let Some(section) = section.as_mut() {
                        section.end_of_candidates = true;
                    }
                }
                _ => {}
            }
        }
        finish(&mut fragment, section.take())?;
        fragment.ice = match (ufrag, pwd) {
            (Some(ufrag), Some(pwd)) => Some(ice_credentials(ufrag, pwd)?),
            (None, None) => None,
            (Some(_), None) => return Err(SdpError::Missing("ice-pwd")),
            (None, Some(_)) => return Err(SdpError::Missing("ice-ufrag")),
        };
        if fragment.ice.is_none() && fragment.media.is_empty() {
            return Err(SdpError::Syntax("neither credentials nor candidates".into()));
        }
        Ok(fragment)
    }

    /// Whether this is an ICE restart of a session whose client has the username fragment `ufrag`.
    #[must_use]
    pub fn restarts(&self, ufrag: &str) -> bool {
        self.ice.as_ref().is_some_and(|ice| ice.ufrag != ufrag)
    }

    /// The answer to an ICE restart: our new credentials, our addresses on the m-line `mid`.
    #[must_use]
    pub fn restart_answer(local: &Local, mid: &Mid) -> String {
        let mut out = Writer::default();
        out.line(format_args!("a=ice-lite"));
        out.line(format_args!("a=ice-ufrag:{}", local.ice.ufrag));
        out.line(format_args!("a=ice-pwd:{}", local.ice.pwd));
        out.line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF 0"));
        out.line(format_args!("a=mid:{mid}"));
        out.candidates(local);
        out.finish()
    }

    /// The text of this fragment, as a client sends it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Writer::default();
        if let Some(ice) = &self.ice {
            out.line(format_args!("a=ice-ufrag:{}", ice.ufrag));
            out.line(format_args!("a=ice-pwd:{}", ice.pwd));
        }
        for media in &self.media {
            out.line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF 0"));
            out.line(format_args!("a=mid:{}", media.mid));
            for candidate in &media.candidates {
                out.line(format_args!("a=candidate:{candidate}"));
            }
            if media.end_of_candidates {
                out.line(format_args!("a=end-of-candidates"));
            }
        }
        out.finish()
    }
}

#[derive(Default)]
struct Section {
    mid: Option<Mid>,
    candidates: Vec<Candidate>,
    end_of_candidates: bool,
}

fn finish(fragment: &mut Fragment, section: Option<Section>) -> Result<(), SdpError> {
    let Some(Section { mid, candidates, end_of_candidates }) = section else { return Ok(()) };
    let mid = mid.ok_or(SdpError::Missing("mid"))?;
    if fragment.media.len() >= MAX_MEDIA {
        return Err(SdpError::TooMany { what: "media sections", limit: MAX_MEDIA });
    }
    fragment.media.push(FragmentMedia { mid, candidates, end_of_candidates });
    Ok(())
}
