//! Addresses that clients name.

/// Whether this candidate can be read and is one that could be checked: over TCP only clients connect.
pub(super) fn is_usable(value: &str) -> bool {
    let transport = value.split_ascii_whitespace().nth(2).unwrap_or_default();
    transport.eq_ignore_ascii_case("udp") && rtc::ice::candidate::unmarshal_candidate(value).is_ok()
}
