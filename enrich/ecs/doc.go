// Package ecs writes events as documents of the Elastic Common Schema (ECS), with the fields that Auditbeat's auditd
// module gives them. It has go-libaudit's aucoalesce do so, which takes a hundred times as long as anything else here: a
// Format only copies an event into a frame, and the goroutine of an output has Document make a document of it.
//
// testdata/fields.tsv lists every field with its type. Below auditd stand Auditbeat's own (message_type, result,
// sequence, session, summary, paths; data, all fields of the records that have no other place) and these:
//
//	auditd.history         the execs from boot to now, as package jsonl writes them
//	auditd.target_history  for each task that a signal was sent to: opid and history
//	auditd.records         records that have no place in the document, as package jsonl writes them: the second OBJ_PID of
//	                       a signal, and whatever go-libaudit cannot read; error.message then says why
//	auditd.data.msg_*      what msg='…' says of fields that only the kernel knows (msg_pid), which is the word of a program
//	auditd.gap             a gap, whose event.action is history-gap: reason, from, to, lost and first
//
// Fields that Auditbeat puts elsewhere outside of ECS are there as well: user.audit, user.saved, user.filesystem,
// user.selinux, file.selinux, source.path and destination.path.
//
// process.parent is the process that forked this one, not the one that ppid= names after that has died: its pid, and
// name and executable of the program it ran then. Where it is not known, pid is that of ppid=.
//
// Names of users and groups are those that auditd added to the records (log_format = ENRICHED). This machine is never
// asked, since the records may be another's.
//
// A line that is no audit record is a document with event.kind pipeline_error, event.original and the time of the event
// before it. Strings are as in package jsonl: a byte that is not UTF-8 is U+FFFD and two hexadecimal digits.
package ecs
