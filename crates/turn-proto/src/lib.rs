//! A TURN server (RFC 8656) as a state machine: bytes, addresses and `now` in; commands out. No sockets, no
//! clock. See [`Server`].
//!
//! ```text
//! client datagram --> handle_client --> ToPeer (forward this part of it), or commands
//! peer datagram   --> handle_peer   --> ToClient (send it inside this header)
//! ICMP error      --> handle_icmp   --> commands
//! socket opened   --> relay_opened  --> commands
//! connection lost --> disconnected  --> commands
//! time            --> handle_timeout
//!                     poll_command, poll_event, poll_timeout
//! ```
//!
//! # What holds, and the test that shows it
//! | Rule | Test |
//! |---|---|
//! | No state before a valid nonce came back from the same address | `authentication::a_first_request_is_challenged_and_leaves_no_state`, `relaying::noise_changes_nothing` |
//! | Nonces are bound to address, port and an hour | `authentication::a_nonce_belongs_to_one_address_and_one_hour`, `every_changed_byte_of_a_nonce_makes_it_stale` |
//! | 401, 438, and 420 to Binding: 10 a second, address and port; 200 a second and address | `authentication::challenges_are_limited_by_client_and_by_address`, `stale_nonces_are_limited_too`, `hostile::of_a_thousand_unknown_attributes_some_are_named_and_strangers_get_ten_such_answers_a_second` |
//! | No allocation: 437 to requests, silence to data | `relaying::without_an_allocation_requests_get_437_and_data_gets_silence` |
//! | Another user name: 441 | `relaying::another_user_gets_441_and_changes_nothing` |
//! | A retransmitted Allocate: the same answer | `allocate::a_retransmitted_allocate_gets_the_same_bytes_and_another_one_437`, `while_ports_are_opened_a_retransmission_is_ignored` |
//! | Unknown user, wrong password, expired: one and the same 401 | `authentication::unknown_users_wrong_passwords_and_expired_ones_look_alike` |
//! | A static user's password does not expire; a removed or changed one ends its allocations at once | `authentication::a_static_user_has_a_password_that_does_not_expire`, `a_removed_user_and_a_changed_password_end_allocations_at_once` |
//! | 486 by user name and by source, 508 in total | `allocate::the_quota_is_by_user_name_and_comes_back`, `a_source_has_its_own_quota_whatever_credentials_it_collects`, `when_ports_or_sockets_run_out_it_is_508_until_one_is_free` |
//! | 442, 400 of REQUESTED-TRANSPORT | `allocate::the_transport_must_be_there_and_udp` |
//! | 440, 443, both families | `allocate::a_family_that_the_server_has_not_is_440`, `ipv6_relay_addresses_and_both_at_once`, `of_two_families_one_may_fail` |
//! | 420 with UNKNOWN-ATTRIBUTES, after authentication | `authentication::unknown_attributes_are_named_after_authentication` |
//! | Lifetime = max(600, min(asked, 3600)); Refresh 0 deletes | `allocate::lifetimes_are_between_ten_minutes_and_an_hour`, `relaying::refresh_moves_the_end_and_zero_deletes`, `an_allocation_that_is_not_refreshed_ends_on_the_second` |
//! | Permissions: 300 s, by address, all judged before one is installed | `relaying::a_permission_lasts_300_seconds_and_is_refreshed_by_another`, `data_needs_a_permission_both_ways_and_the_port_does_not_matter`, `all_peers_are_judged_before_one_is_permitted` |
//! | DONT-FRAGMENT in Allocate and Send | `allocate::dont_fragment_is_understood`, `relaying::a_send_may_ask_for_the_df_bit` |
//! | ICMP errors become Data indications, under a permission | `relaying::icmp_errors_reach_the_client_that_has_a_permission` |
//! | Draining: 300 with an alternate of the same family and transport, else 508 | `allocate::a_draining_server_names_its_alternate_of_the_same_family_and_port`, `clients_of_tls_and_dtls_are_sent_to_their_own_alternate_and_told_its_name`, `a_draining_server_takes_nothing_new_and_keeps_what_lives` |
//! | Channels: numbers, 600 s, refresh the permission, permission first | `relaying::a_channel_number_stands_for_one_peer_and_a_peer_for_one_number`, `a_channel_lasts_600_seconds_and_its_permission_300`, `legacy_channel_numbers_are_a_setting` |
//! | All lifetimes together, against a model on virtual time | `relaying::lifetimes_follow_the_model` |
//! | EVEN-PORT with R holds the next port for 30 s, its token works once | `allocate::a_reservation_holds_the_next_port_for_thirty_seconds`, `an_unused_reservation_ends`, `a_pair_whose_second_port_is_taken_is_tried_elsewhere_and_nothing_leaks` |
//! | A reservation, quotas and ports are those of all threads | `allocate::a_reservation_is_good_at_another_thread_and_only_once`, `quotas_and_ports_are_those_of_all_threads` |
//! | ChannelData over a stream is padded | `relaying::over_a_stream_channel_data_is_padded` |
//! | Every split of a stream gives the same messages | `framing::every_split_gives_the_same_messages`, `any_bytes_are_cut_without_panic` |
//! | An allocation ends with its connection | `allocate::the_end_of_a_connection_is_the_end_of_its_allocation` |
//! | A packet allocates no memory | `allocations::no_packet_allocates` |
//! | Peer filter: canonical, deny over allow, at CreatePermission, ChannelBind and send | `relaying::forbidden_peers_are_refused_by_every_method`, the tests of `peer` |
//! | Own addresses: named media ports and live relayed addresses only | `relaying::of_own_addresses_only_media_and_relay_ports_are_reached`, `attacks::of_the_service_itself_only_named_ports_are_reached`, `a_second_allocation_is_no_way_around` |
//! | No spelling of a forbidden address is reached by any method | `attacks::no_spelling_of_a_forbidden_address_is_reached_by_any_method`, `signed_nonsense_reaches_nobody_forbidden` |
//! | Expiry refuses what is new, grace ends what lives | `authentication::an_expired_credential_lives_on_in_its_allocation_through_the_grace`, `without_grace_an_allocation_ends_at_expiry` |
//! | Two secrets; a removed one ends its allocations at once | `authentication::two_secrets_are_good_and_a_removed_one_ends_its_allocations_at_once` |
//! | SHA-256 integrity, PASSWORD-ALGORITHMS, no downgrade; USERHASH of static users | `authentication::every_signature_that_rfc_8489_offers_is_accepted_and_answered_in_kind`, `an_offer_of_algorithms_that_was_tampered_with_is_refused`, `a_user_hash_names_a_static_user`, `a_user_hash_cannot_name_anybody` |
//! | Attributes after the integrity attribute are ignored | `authentication::what_follows_the_integrity_attribute_is_not_there` |
//! | Caps: permissions, channels, allocations | `relaying::permissions_and_channels_are_capped_and_what_lapsed_makes_room`, `allocate::a_reservation_counts_in_the_quota` |
//! | Lengths that lie, attributes twice, a FINGERPRINT that is not the last | `hostile::lengths_that_lie_are_noise_whatever_the_transport`, `of_an_attribute_that_is_there_twice_the_first_counts`, `a_fingerprint_is_the_last_attribute_or_the_message_is_noise` |
//! | Integrity cut short, or a right and a wrong one | `hostile::integrity_that_is_cut_short_or_contradicts_itself_is_no_proof` |
//! | Tokens guessed or stolen: 508; a family that nobody knows in Refresh: 443; lapsed channel numbers | `hostile::a_reservation_token_cannot_be_guessed_or_stolen`, `a_refresh_of_a_family_that_nobody_knows_is_443_and_deletes_nothing`, `a_channel_number_that_lapsed_may_stand_for_another_peer_and_then_not_for_the_first` |
//! | RFC 5769 (four), RFC 8489 B.1 | the tests of `vectors` |
//!
//! # Where it departs from the RFCs, on purpose
//! | RFC | What | Why |
//! |---|---|---|
//! | 8489, 9.2.4 | A nonce is judged before the password, so of two mistakes the client hears 438 | It proves the address before any key is made |
//! | 8489, 6.3.1.1 | No SOFTWARE in answers | They go to addresses that proved nothing: shorter, and no version to attack |
//! | 8489, 11 | Clients of RFC 3489 (no cookie) get no answer | None is left that speaks TURN |
//! | 8489, 14.3 | User names are compared byte by byte, not by OpaqueString | Ours are ASCII; what a client sends is what was minted |
//! | 8489, 14.13 | At most 32 attributes are named in UNKNOWN-ATTRIBUTES | A message has room for a thousand |
//! | 8656, 12 | 0x5000-0x7FFF may be bound where the settings say so | Clients of RFC 5766, coturn's load tool |
//! | 8656, 14 to 17 | TTL, DSCP and ECN are the system's own, not copied (the alternate behaviour) | They would cost a control message with each datagram |
//! | 6062, 8016 | Neither TCP relaying nor mobility | Nothing here needs them |

mod allocation;
mod auth;
mod config;
mod error;
mod framing;
mod hash;
mod integrity;
mod limit;
mod live;
mod message;
mod peer;
mod ports;
mod server;
mod shared;
mod stats;
mod types;
#[cfg(test)]
mod vectors;
mod wire;

pub use allocation::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};
pub use auth::NONCE_LIFETIME;
pub use config::{Config, ConfigError, Limits, StaticUser};
pub use error::{ErrorCode, Reason, Refusal};
pub use framing::{Framer, FramingError, MAX_FIRST_MESSAGE, MAX_MESSAGE, message_length};
pub use peer::{OwnPorts, PeerPolicy, PeerRefusal, canonical, is_public};
pub use server::{
    CloseReason, Command, DEFAULT_LIFETIME, Event, MAX_LIFETIME, RESERVATION_LIFETIME, Server, ToClient,
    ToPeer,
};
pub use shared::Shared;
pub use stats::Stats;
pub use types::{ClientAddr, Family, FiveTuple, Icmp, Method, PeerAddr, RelayId, Transport};
pub use wire::{CHANNEL_NUMBERS, Header, LEGACY_CHANNEL_NUMBERS, MAX_HEADER, MAX_PADDING};
