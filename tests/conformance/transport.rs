//! What every transport promises (`port::Transport`): one body of cases, for each of them the same.
//!
//! A transport joins by implementing [`Network`](member::Network) and adding a line to the end of this file. Three things the
//! port leaves open are settled here: a node has no path to itself (`send` to its own id is `Unreachable`, a broadcast does
//! not come back); broadcasts and sends from one node to another keep one order; after `close`, what had arrived and was
//! not yet received is gone.

#![allow(clippy::unwrap_used, reason = "a case that can't go on has failed")]

use std::sync::Arc;

use connectome::codecs::NodeId;
use connectome::transport::local::Hub;

use member::{Member, Network};

mod broadcast;
mod ends;
mod frames;
mod futures;
mod member;
mod over_both;
mod over_libp2p;
mod over_nats;
mod pressure;

/// Every case, as a test of one transport.
macro_rules! transport_suite {
    ($transport:ident, $network:ty, $test:meta) => {
        transport_suite! { @groups $transport, $network, $test,
            frames {
                a_frame_arrives_whole_with_its_sender_beside_it
                an_empty_frame_is_a_frame
                frames_of_every_size_arrive_unchanged
                the_largest_frame_arrives_and_a_larger_one_is_refused
                ten_thousand_frames_arrive_once_and_in_order
                both_directions_keep_their_order_at_the_same_time
                large_and_small_frames_keep_one_order
                equal_frames_are_different_frames
                many_senders_at_once_are_each_heard_once_and_in_order
                a_frame_comes_from_who_sent_it_and_not_from_who_it_says
                a_frame_reaches_only_the_node_it_is_for
            }
            pressure {
                a_receiver_who_does_not_read_makes_send_refuse
                large_frames_are_bounded_by_their_bytes
                what_was_taken_arrives_and_what_was_refused_does_not
                ready_waits_while_there_is_no_room_and_ends_when_there_is
                everyone_who_waits_for_room_is_told
                ready_ends_at_once_where_there_is_room_or_nobody
                a_full_queue_holds_up_no_other
                ready_ends_when_the_node_that_was_waited_for_is_gone
            }
            broadcast {
                a_broadcast_reaches_all_others_and_does_not_come_back
                a_broadcast_passes_over_the_full_and_the_gone
                broadcasts_and_sends_keep_one_order
                a_broadcast_that_is_too_large_reaches_nobody_and_harms_nobody
            }
            ends {
                an_unknown_node_is_unreachable
                a_node_has_no_path_to_itself
                a_node_that_ends_without_warning_is_told_behind_its_frames
                a_node_that_is_gone_is_unreachable
                the_end_of_one_node_is_nothing_to_the_others
                what_was_sent_before_closing_arrives_before_the_farewell
                a_closed_transport_receives_nothing_ever
                a_closed_transport_sends_nothing
                closing_ends_a_receive_and_a_ready_that_wait
                closing_twice_and_from_many_tasks_is_closing_once
            }
            futures {
                a_receive_that_is_given_up_loses_nothing
                a_receive_that_was_given_up_leaves_the_next_one_awake
                a_waiting_receiver_is_woken
            }
        }
    };
    (@groups $transport:ident, $network:ty, $test:meta, $($group:ident $cases:tt)*) => {
        mod $transport {
            $(transport_suite! { @cases $group, $network, $test, $cases })*
        }
    };
    (@cases $group:ident, $network:ty, $test:meta, { $($case:ident)* }) => {
        $(
            #[$test]
            async fn $case() {
                super::$group::$case::<$network>().await;
            }
        )*
    };
}

/// Nodes of one hub.
struct Local;

impl Network for Local {
    async fn cluster(size: usize) -> Vec<Member> {
        let hub = Hub::new();
        let ids = (1..).map(|at| NodeId([at; 32])).take(size);
        ids.map(|id| Member { id, transport: Arc::new(hub.join(id).expect("each id is new")) }).collect()
    }
}

transport_suite! { local, super::Local, tokio::test(start_paused = true) }
transport_suite! { local_on_threads, super::Local, tokio::test(flavor = "multi_thread", worker_threads = 2) }
transport_suite! { nats, super::over_nats::Nats, tokio::test(flavor = "multi_thread", worker_threads = 2) }
transport_suite! {
    libp2p_tcp, super::over_libp2p::Libp2p<super::over_libp2p::Tcp>, tokio::test(flavor = "multi_thread", worker_threads = 2)
}
transport_suite! {
    libp2p_quic, super::over_libp2p::Libp2p<super::over_libp2p::Quic>, tokio::test(flavor = "multi_thread", worker_threads = 2)
}
transport_suite! { both, super::over_both::Both, tokio::test(flavor = "multi_thread", worker_threads = 2) }
