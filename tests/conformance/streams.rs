//! What every store must do: one body of cases, run unmodified on each backend.
//!
//! A case is a function from a [`Bench`] to nothing; the table below runs each on each backend, and a failing test's
//! name says which. Cases promise nothing but what the port's documents promise, and wait for events: a case that
//! needs time to pass lets the store's own clock ring ([`Bench::let_pass`]).
//!
//! A new backend implements [`backend::Backend`] and adds one line at the end.

mod arrivals;
mod backend;
mod bench;
mod bucket;
mod consumer;
mod create;
mod delivery;
mod disk_only;
mod exhausted;
mod over_libp2p;
mod publish;
mod read;
mod retention;
mod server_only;
mod tail;
mod watch;
mod work_queue;

use backend::{Cluster, Disk, Memory, Server, run};
use bench::Bench;
use over_libp2p::OverLibp2p;

macro_rules! suite {
    ($backend:ident as $name:ident, $test:meta: $($module:ident { $($case:ident)* })*) => {
        mod $name {
            $(mod $module {
                $(#[$test]
                fn $case() {
                    super::super::run::<super::super::$backend>(super::super::$module::$case);
                })*
            })*
        }
    };
}

macro_rules! all_cases_on {
    ($backend:ident as $name:ident, $test:meta) => {
        suite! { $backend as $name, $test:
            create {
                the_same_stream_twice_is_no_error
                names_are_sorted
                bounds_are_changed_in_place
                a_subject_can_be_added
                another_retention_is_a_conflict
                another_storage_is_a_conflict
                bad_names_are_refused
                bad_subjects_are_refused
                no_subjects_are_refused
                bounds_of_zero_are_refused
                subjects_of_another_stream_are_refused
                info_counts_messages_and_bytes
                an_empty_stream_begins_behind_its_last
                info_lists_consumers_by_name
                an_unknown_stream_is_not_found
                count_is_of_exactly_one_subject
            }
            publish {
                sequences_begin_at_one_and_rise_by_one
                a_message_is_kept_as_it_was_given
                an_empty_body_is_a_body
                the_largest_body_fits_and_a_larger_is_refused
                an_id_is_stored_once
                an_id_in_another_stream_is_another_message
                messages_without_an_id_are_all_stored
                an_id_is_forgotten_after_its_window
                an_id_outlives_its_deleted_message
                an_id_outlives_its_acknowledged_task
                a_refused_id_is_not_remembered
                a_duplicate_is_known_even_when_full
                a_subject_outside_the_stream_is_refused
                a_bad_subject_is_refused
                a_refused_message_takes_no_sequence
                many_publishers_get_every_sequence_once
                many_publishers_of_one_id_store_it_once
                one_publisher_keeps_its_order
                moments_do_not_fall
            }
            read {
                it_begins_where_it_is_told
                it_gives_at_most_what_was_asked
                it_filters_by_one_subject
                it_filters_by_a_star
                it_filters_by_an_arrow
                it_takes_nothing_away
                past_the_end_there_is_nothing
                a_bad_filter_is_refused
                a_deleted_message_is_gone
                deleting_twice_is_no_error
                a_deleted_sequence_is_not_given_again
            }
            retention {
                the_newest_are_kept_by_number
                the_newest_are_kept_by_bytes
                a_full_stream_refuses_by_number
                a_full_stream_refuses_by_bytes
                removing_makes_room
                what_never_fits_removes_nothing
                a_smaller_bound_applies_at_once
                old_messages_leave
                an_old_message_is_not_delivered
            }
            consumer {
                it_begins_with_the_first
                it_begins_with_the_next
                it_begins_at_a_sequence
                it_sees_only_what_its_filter_matches
                each_consumer_gets_everything
                opened_again_it_is_where_it_was
                opened_twice_it_shares_its_work
                another_filter_is_a_conflict
                other_bounds_are_taken_in_place
                bad_configurations_are_refused
                a_filter_that_matches_nothing_is_refused
                an_unknown_stream_is_not_found
                a_deleted_consumer_forgets
                a_deleted_consumer_is_not_found
                deleting_wakes_who_waits
                info_says_where_it_stands
                removing_a_message_in_hand_frees_its_place
                many_consumers_of_one_subject_each
            }
            delivery {
                the_oldest_come_first
                no_more_than_asked_are_taken
                what_is_there_comes_at_once
                nothing_comes_after_the_wait
                asking_for_none_gives_none
                a_message_ends_the_wait
                an_acknowledged_message_does_not_come_again
                acknowledging_twice_is_no_error
                acknowledging_what_was_never_delivered_is_no_error
                a_refused_message_comes_again_at_once
                a_refused_message_comes_again_after_its_delay
                refusing_wakes_who_waits
                silence_brings_a_message_again
                a_sign_of_life_begins_the_wait_anew
                a_late_acknowledgement_is_honoured
                a_terminated_message_does_not_come_again
                no_more_are_in_hand_than_allowed
                an_acknowledgement_makes_room_for_who_waits
                one_in_hand_keeps_the_order
                what_is_due_again_comes_first
                back_off_replaces_the_wait
                who_waits_longest_is_served_first
                a_dropped_wait_loses_nothing
                dropped_fetches_lose_nothing
                many_workers_get_each_message_once
            }
            exhausted {
                a_message_refused_too_often_is_told
                a_message_kept_too_often_is_told
                it_is_told_once
                it_stays_in_its_stream
                it_is_not_delivered_again
                the_oldest_is_told_first
                it_leaves_room_for_others
                removing_it_ends_it
                acknowledging_it_late_ends_it
                one_allowed_delivery_is_one_delivery
            }
            work_queue {
                an_acknowledged_task_is_gone
                a_terminated_task_is_gone
                a_refused_task_stays
                a_late_acknowledgement_removes_it
                overlapping_filters_are_refused
                separate_filters_share_the_queue
                it_must_be_begun_at_the_first
                a_deleted_consumer_makes_way
                a_full_queue_takes_more_after_an_acknowledgement
                each_task_is_done_once_by_many_workers
            }
            arrivals {
                it_hears_of_what_is_stored_from_now_on
                what_it_hears_of_can_be_read
                it_hears_what_its_filters_match
                it_hears_of_what_it_listens_to_later
                a_duplicate_is_not_heard_of_as_new
                a_dropped_wait_loses_nothing
                all_of_many_are_heard_of
                listeners_do_not_share
                an_unknown_stream_is_not_found
            }
            tail {
                it_gives_what_is_there_and_then_what_comes
                it_begins_with_the_next
                it_begins_at_a_sequence
                it_filters
                it_waits_for_a_message
                two_tails_see_everything
                a_dropped_wait_loses_nothing
                what_was_removed_before_it_came_is_a_gap
                what_was_removed_before_it_began_is_a_gap
                a_gap_lies_where_the_messages_were
                what_it_does_not_want_is_no_gap
                a_long_stream_is_read_in_order
            }
            bucket {
                a_value_is_kept
                an_empty_value_is_a_value
                a_missing_key_has_no_entry
                revisions_rise_over_all_keys
                absent_holds_once
                a_revision_holds_once
                a_wrong_revision_says_the_right_one
                many_writers_of_one_revision_one_wins
                a_removed_key_is_gone
                removing_a_missing_key_is_no_error
                removing_needs_the_expected_revision
                a_removed_key_can_be_made_again_with_a_higher_revision
                keys_are_listed_by_prefix
                entries_expire
                a_time_to_live_of_its_own_wins
                writing_begins_the_time_to_live_anew
                an_expired_key_is_absent
                buckets_are_separate
                opened_twice_it_is_the_same
                another_storage_is_a_conflict
                bad_names_and_keys_are_refused
                a_value_too_large_is_refused
                no_time_to_live_is_refused
            }
            watch {
                it_gives_what_is_there_and_then_what_comes
                what_is_there_comes_by_revision
                a_removed_key_comes_without_a_value
                an_expired_key_comes_without_a_value
                keys_removed_before_are_not_told
                it_sees_only_its_prefix
                a_dropped_wait_loses_nothing
                one_that_is_behind_sees_the_newest
                every_watch_is_told
            }
        }
    };
}

all_cases_on!(Memory as memory, test);
all_cases_on!(Disk as disk, test);
all_cases_on!(Server as jetstream, test);
all_cases_on!(OverLibp2p as served, test);
// Minutes on a small machine, and each group of replicas elects its leader first: a busy one is too slow for cases that do
// not wait. So it runs when it is asked for: `cargo test jetstream_of_three -- --ignored --test-threads 2`.
all_cases_on!(
    Cluster as jetstream_of_three,
    cfg_attr(
        all(),
        test,
        ignore = "three servers: `cargo test jetstream_of_three -- --ignored --test-threads 2`"
    )
);

suite! { Disk as disk_again, test:
    disk_only {
        messages_survive
        sequences_go_on_when_nothing_is_left
        streams_and_bounds_survive
        a_stream_in_memory_is_gone
        a_consumer_is_where_it_was
        what_was_in_hand_comes_again_at_once
        the_last_attempt_in_hand_is_exhausted
        what_is_exhausted_is_told_again
        a_delay_survives
        ids_survive
        ids_of_removed_messages_survive
        a_deleted_consumer_stays_deleted
        entries_and_revisions_survive
        revisions_go_on_when_nothing_is_left
        expiry_goes_on
        old_messages_leave
        bodies_come_back_from_the_disk
        two_stores_in_one_directory_are_refused
        a_directory_of_others_is_refused_untouched
        a_file_is_refused
        another_format_is_refused
        damage_is_told_by_its_path
    }
}
