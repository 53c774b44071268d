package main

// path is where a call's effect happens on a connection that has been promoted.
type path string

const (
	ring    path = "ring"            // in shared memory
	kernel  path = "kernel"          // at the anchor, with bookkeeping
	both    path = "ring and kernel" // what either of them says
	degrade path = "degrades"        // stays on, or goes back to, the kernel; or is refused: counted
	none    path = "none"            // it is not about connections
)

// cell is a call in a state or with a flag: what becomes of it, and the checks of tests/prog/contract_*.c
// that show it on Linux and under libsd alike. Only the first cell of some calls names them.
type cell struct {
	calls   string
	when    string
	path    path
	remarks string
	checks  string
}

var cells = []cell{
	{"read __read readv recv recvfrom __read_chk __recv_chk __recvfrom_chk", "", ring, "",
		"partial_reads partial_reads_cold blocked_recv vectors from_has_no_address seek_is_refused"},
	{"", "O_NONBLOCK, MSG_DONTWAIT", ring, "", "dontwait nonblocking_send_is_partial nonblock_is_shared_by_dup"},
	{"", "MSG_PEEK", ring, "", "peek peek_cold peek_blocks mark_peek_waits_for_all mark_peek_waits_for_all_cold"},
	{"", "MSG_WAITALL", ring, "", "waitall waitall_cold waitall_ends_at_eof signal_waitall_returns_what_it_has"},
	{"", "MSG_TRUNC", ring, "", "truncated truncated_cold"},
	{"", "MSG_OOB, MSG_ERRQUEUE", kernel, "the anchor answers", "anchor_nothing_urgent anchor_nothing_urgent_cold"},
	{"", "urgent bytes of the peer, SO_OOBINLINE", both, "they come by the anchor, after what is in the ring", "anchor_urgent_byte_from_the_peer anchor_urgent_byte_from_the_peer_cold anchor_urgent_byte_in_line anchor_urgent_byte_in_line_cold"},
	{"", "SO_RCVLOWAT", ring, "above 4 MiB it counts as 4 MiB", "mark_low_water_polls mark_low_water_polls_cold mark_low_water_edges mark_low_water_edges_cold mark_low_water_receives mark_low_water_receives_cold mark_low_water_ends_at_eof mark_low_water_ends_at_eof_cold"},
	{"", "no bytes asked for", ring, "", "empty_calls nothing_asked_for nothing_asked_for_cold"},
	{"", "SO_RCVTIMEO", ring, "", "rcvtimeo signal_recv_with_timeout_never_restarts"},
	{"", "after the peer's FIN", both, "", "data_before_eof data_before_eof_cold eof_wakes_recv half_close_of_the_peer half_close_of_the_peer_cold"},
	{"", "after RST", both, "", "reset_after_data reset_wakes_recv"},
	{"", "after SHUT_RD", both, "", "shut_rd shut_both"},
	{"", "a handler runs", ring, "EINTR or restart as signal(7)", "signal_recv_is_interrupted signal_recv_restarts signal_recv_obeys_each_handler signal_first_of_two_signals_decides jump_out_of_waiting_calls"},
	{"", "several threads or processes", ring, "under a lock", "threads_many_receivers threads_many_receivers_cold threads_hand_over fork_child_uses fork_turns fork_in_a_burst fork_in_a_burst_cold"},
	{"recvmsg recvmmsg", "", ring, "no ancillary data: the options that would make some keep a connection on the kernel", "messages many_messages"},
	{"preadv2 preadv64v2 pwritev2 pwritev64v2", "offset -1, no flag but RWF_NOWAIT", ring, "else the anchor answers (ESPIPE)", "seek_is_refused"},
	{"write __write writev send __send sendto", "", ring, "", "unhooked_by_other_names unhooked_by_other_names_cold echo_of_a_megabyte vectors stream_through_two_numbers threads_duplex_full_speed"},
	{"", "no room", ring, "blocks, or takes a part", "full_and_drained full_and_drained_cold full_both_ways blocked_send blocked_send_cold nonblocking_send_is_partial"},
	{"", "MSG_MORE, TCP_CORK", ring, "hold nothing back", "more more_cold cork cork_cold switch_corked_is_promoted switch_more_is_promoted"},
	{"", "MSG_OOB", degrade, "the direction goes back to TCP for good (`to-tcp`)", "anchor_urgent_byte_is_beside_the_stream anchor_urgent_byte_is_beside_the_stream_cold"},
	{"", "MSG_FASTOPEN", kernel, "", "life_fast_open"},
	{"", "SO_SNDTIMEO", ring, "", "sndtimeo"},
	{"", "after the peer closed", both, "EPIPE, SIGPIPE, MSG_NOSIGNAL", "epipe_after_close closed_is_known_at_once sigpipe sigpipe_kills reset_wakes_send"},
	{"", "after SHUT_WR", kernel, "", "half_close_of_ours half_close_of_ours_cold shut_twice"},
	{"", "a handler runs", ring, "EINTR or restart as signal(7)", "signal_send_is_interrupted jump_out_of_send jump_out_of_send_cold"},
	{"", "several threads or processes", ring, "under a lock", "threads_many_senders fork_both_send"},
	{"sendmsg sendmmsg", "", ring, "", "messages many_messages"},
	{"", "SCM_RIGHTS with a connection", degrade, "a candidate stays on the kernel, a promoted one is counted (`passed`): the receiving process has no part in its rings", "passed_before_connect"},
	{"sendfile sendfile64", "", ring, "through a buffer, also into pipes; what the kernel refuses is refused", "from_file from_file_cold from_file_refused splice_is_sent_to_a_pipe splice_is_sent_to_a_pipe_cold"},
	{"splice", "", ring, "through a buffer", "splice_to_a_pipe splice_to_a_pipe_cold splice_to_a_full_pipe splice_to_a_full_pipe_cold splice_to_a_pipe_until_eof splice_to_a_pipe_until_eof_cold splice_from_a_pipe splice_from_a_pipe_cold splice_from_a_pipe_when_full splice_from_a_pipe_when_full_cold"},
	{"", "offsets, two sockets, unknown flags", kernel, "the anchor refuses, as it does tee, vmsplice and copy_file_range", "splice_is_refused splice_is_refused_cold"},
	{"socket", "", kernel, "only what this call made, and no fork, duplicate or SCM_RIGHTS has shared since, can become a candidate", "names connected_after_fork passed_before_connect"},
	{"connect __connect accept accept4", "", kernel, "the connection becomes a candidate; TCP over IPv4 and IPv6 only; a socket that was shared before it was connected stays on the kernel (`forked`)",
		"accept_flags accept_tells_the_name connect_nonblocking listener_closes_early sent_before_accept life_bound_before_connect fork_child_makes_connections fork_child_accepts"},
	{"", "refused, backlog full, EISCONN, EALREADY", kernel, "", "connect_refused not_connected life_again_after_refusal life_backlog_full life_bind_and_listen_errors life_closed_listener_resets_its_queue life_shutdown_of_a_listener"},
	{"", "AF_UNSPEC", kernel, "ends the stream; the socket stays on the kernel", "life_again_after_unspec"},
	{"", "to itself", kernel, "stays on the kernel", "life_self_connect"},
	{"", "SO_REUSEPORT, IPV6_V6ONLY, TCP_DEFER_ACCEPT, wildcard addresses", kernel, "", "life_dual_stack life_wildcard_beside_specific life_reuse_port_balances option_defer_accept option_of_a_listener"},
	{"shutdown", "", kernel, "a candidate stays on the kernel; SHUT_WR ends the last ring; the rest of the direction is TCP's, which sends FIN",
		"half_close_of_ours half_close_then_large_reply switch_answers_after_the_peers_end shut_rd shut_both shut_twice threads_shutdown_wakes_recv fork_shutdown_in_a_child_is_for_all life_simultaneous_close life_simultaneous_close_cold"},
	{"setsockopt", "", kernel, "the anchor keeps every option", "options option_read_back option_read_back_cold option_refused option_timeouts_are_read_back"},
	{"", "options that a ring does not honour (below)", degrade, "a candidate stays on the kernel (`option`); a promoted connection refuses them, ENOPROTOOPT (`unhooked`): what they ask for is made of segments", "anchor_timestamps anchor_timestamps_cold"},
	{"", "SO_SNDBUF, SO_RCVBUF", ring, "bound what a direction takes, as on TCP", "room_follows_options room_follows_small_options room_follows_small_options_of_both room_follows_large_options room_follows_options_set_later room_follows_small_options_set_later room_grows_while_full room_growing_wakes_send room_narrow room_narrow_cold"},
	{"", "SO_LINGER 0", kernel, "", "linger_resets"},
	{"getsockopt", "", kernel, "", "options option_who_is_it option_values_are_cut option_refused option_tcp_info_after_our_shutdown option_tcp_info_after_the_peers_shutdown"},
	{"", "SO_ERROR", both, "also an error that the rings know of", "reset_shows_in_so_error connect_refused"},
	{"ioctl sockatmark", "FIONREAD, SIOCOUTQ, SIOCATMARK, FIONBIO", both, "FIONREAD counts the rings, and the mark comes after them; the rest is the anchor's", "fionread fionread_cold outq_drains option_queues option_queues_cold fionbio anchor_urgent_byte_from_the_peer"},
	{"fcntl __fcntl fcntl64", "", kernel, "F_DUPFD makes an alias", "flags_of_the_number nonblock_is_shared_by_dup dup2_to_a_number"},
	{"", "O_ASYNC, also by FIOASYNC", degrade, "a candidate stays on the kernel (`option`); a promoted connection refuses it, EOPNOTSUPP (`unhooked`): bytes in a ring raise no SIGIO", "anchor_owner_is_told anchor_owner_is_told_cold anchor_owner_is_told_by_ioctl anchor_owner_is_told_by_ioctl_cold"},
	{"", "F_SETOWN, F_GETOWN", kernel, "", "anchor_owner_is_told"},
	{"close __close close_range closefrom", "", both, "descriptors of libsd's own stay open", "close_delivers close_delivers_cold exit_delivers number_is_reused range_closes range_closes_by_syscall closefrom_closes"},
	{"", "bytes unread", both, "RST", "close_with_unread_resets close_with_unread_resets_cold"},
	{"dup dup2 __dup2 dup3", "", both, "an alias of the same connection or epoll set", "dup_and_close stream_through_two_numbers dup2_to_a_number dup2_over_closes switch_duplicated_before_connect epoll_duplicated_set"},
	{"", "to 0, 1 or 2", degrade, "a candidate stays on the kernel (`stdio`); a promoted connection sends by TCP from then on (`to-tcp`), since libc and started programs write there unseen; `stdin` reads by our `read`", "stdio_standard_output stdio_standard_output_cold stdio_standard_input stdio_standard_input_cold stdio_program_writes stdio_program_writes_cold"},
	{"execve execv execvp execvpe execl execlp execle fexecve execveat posix_spawn posix_spawnp posix_spawn_file_actions_adddup2 system popen _IO_popen wordexp", "no connection is inherited", none, "", "exec_fails exec_fails_cold"},
	{"", "one that is not close-on-exec", degrade, "a candidate stays on the kernel (`forked`); a promoted connection sends by TCP from then on (`to-tcp`, `exec-inherited`), what comes by the ring the new program does not see", "exec_program_writes exec_program_writes_cold exec_after_vfork_writes exec_after_vfork_writes_cold exec_spawned_writes exec_spawned_writes_cold exec_system_writes exec_system_writes_cold exec_popen_writes exec_popen_writes_cold exec_wordexp_writes exec_wordexp_writes_cold"},
	{"fdopen", "", both, "a candidate stays on the kernel (`stdio`); on a promoted connection the stream reads and writes by our `read` and `write`", "stdio_streams stdio_streams_cold stdio_stream_answers stdio_stream_answers_cold"},
	{"freopen freopen64 fclose", "", both, "as close", "stdio_fclose_frees_the_number stdio_fclose_frees_the_number_cold"},
	{"", "freopen of a promoted connection", both, "the stream goes on with the file", "stdio_reopened stdio_reopened_cold"},
	{"dprintf vdprintf __dprintf_chk __vdprintf_chk", "", ring, "formats, then `write`", "stdio_dprintfs stdio_dprintfs_cold"},
	{"poll __poll ppoll __poll_chk __ppoll_chk select __select pselect", "", both, "any mixture of descriptors; with nothing of ours in it the kernel's call", "poll_levels poll_levels_cold poll_blocks poll_mixed poll_space poll_closed_number select_levels select_mixed threads_two_poll_at_once"},
	{"", "end of stream, RST", both, "", "poll_hang_up poll_eof_with_data"},
	{"", "signals and masks", both, "", "signal_poll_is_interrupted signal_select_is_interrupted signal_masks_are_installed"},
	{"epoll_create epoll_create1 epoll_ctl", "", both, "", "epoll_control_errors epoll_closed_member_leaves epoll_duplicate_keeps_member epoll_number_joins_again epoll_number_joins_again_cold epoll_two_numbers_two_members epoll_two_sets epoll_added_before_promotion epoll_added_while_another_waits switch_added_before_connect"},
	{"", "a set made elsewhere", degrade, "a candidate that joins stays on the kernel (`option`), a promoted connection is refused (`unhooked`)", "epoll_unknown_set epoll_unknown_set_cold"},
	{"", "EPOLLEXCLUSIVE", both, "all sets are woken; Linux promises one at least", "mark_exclusive_member mark_exclusive_member_cold mark_exclusive_wakes_one mark_exclusive_wakes_one_cold"},
	{"epoll_wait epoll_pwait epoll_pwait2", "level-triggered", both, "the kernel's set and the rings of its members", "epoll_level epoll_level_cold epoll_blocked_wait_level epoll_space_level epoll_hang_ups_level switch_out_level_after_refusal"},
	{"", "EPOLLET", both, "", "epoll_edge epoll_edge_cold epoll_edge_again_on_new_data epoll_edge_reports_all epoll_edge_found_at_add epoll_blocked_wait_edge epoll_space_edge epoll_hang_ups_edge switch_edge_after_short switch_out_edge_after_refusal"},
	{"", "EPOLLONESHOT", both, "", "epoll_one_shot"},
	{"", "nested, mixed, fair", both, "", "epoll_nested_sets epoll_set_in_poll epoll_mixed_members epoll_mixed_members_cold epoll_fair_to_all"},
	{"", "several threads", both, "", "epoll_one_waiter_for_an_edge threads_two_epoll_at_once threads_two_epoll_at_once_cold"},
	{"", "close and RST while waiting", both, "", "epoll_close_wakes_wait epoll_reset_wakes_wait"},
	{"", "signals and masks", both, "", "signal_epoll_is_interrupted signal_masks_are_installed_without_waiting"},
	{"syscall", "of any call in this table", both, "done as by the call of that name", "unhooked_by_syscall unhooked_by_syscall_cold unhooked_sets_by_syscall unhooked_sets_by_syscall_cold range_closes_by_syscall"},
	{"pidfd_getfd", "", both, "of a connection that this process has: a further number of it", "unhooked_number_from_pidfd unhooked_number_from_pidfd_cold"},
	{"aio_read aio_read64 aio_write aio_write64 lio_listio lio_listio64", "", degrade, "a candidate stays on the kernel (`option`); a promoted connection refuses them, EOPNOTSUPP (`unhooked`): libc's threads read and write where nothing can stand in", "unhooked_asynchronous unhooked_asynchronous_cold"},
	{"sigaction __sigaction signal bsd_signal ssignal sysv_signal __sysv_signal sigset siginterrupt", "", none,
		"handlers run through a stub: it tells a waiting call whether SA_RESTART restarts it, and waits for the end of an operation; what was installed is what is read back",
		"handler_what_is_installed_is_read_back handler_impossible_handlers_are_refused handler_informed_handler_knows_the_sender handler_masks_and_flags_hold handler_older_ways_to_install handler_handlers_are_installed_anywhere handler_handlers_after_fork_and_exec"},
}
