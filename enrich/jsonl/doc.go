// Package jsonl writes events as JSON Lines, one object an event. schema.json says the same as this text, for programs.
//
//	{"id":"1691750738.271:108","time":"2023-08-11T10:45:38.271Z","node":"web",
//	 "records":{"SYSCALL":{"syscall":62,"pid":3767,"comm":"bash",…,"SYSCALL":"kill"},
//	            "OBJ_PID":[{"opid":330,"ocomm":"sleep",…}],"PROCTITLE":{"argv":["bash","-l"]}},
//	 "history":[{"name":"systemd","pid":1,"start":"2023-08-11T08:44:39.000Z","exe":"/usr/lib/systemd/systemd"},…],
//	 "target_history":[{"opid":330,"history":[…]}]}
//
// # Events
//
// id is seconds.milliseconds:serial as ausearch shows it, time the same moment in UTC, node the node= of the records
// where they have one. records holds the records by type. SYSCALL, EXECVE, CWD and PROCTITLE are one object; any other
// type is an array, even of one record. So the shape of a type never depends on how many records there are. EOE is no
// record here. unparsed holds, as they are, the lines of records that have no place in this: a second SYSCALL record of
// one event, which the kernel never writes.
//
// Records of an event that come when it has been written already make a further object with the same id.
//
// # Fields
//
// A field has the name that is in the record, and one type, whatever its value:
//
//   - A number, where the kernel writes a decimal one: pid, uid, exit, inode and the others of formOf. What is no number
//     of up to 18 digits there is a string.
//   - A string that begins with 0x, where the kernel writes hexadecimal: arch, a0 to a5, capabilities.
//   - A string for all else: mode is octal as in the record, res is "1" or "success".
//   - null for (null).
//
// Strings that the kernel, or a program, writes in hexadecimal when they hold a blank, a quote or worse are decoded:
// comm, exe, name, cwd, key, acct, cmd and the others of formOf, and no others: a0=4142 is a number.
//
// What auditd has added (log_format = ENRICHED) has its names, in capitals: UID is the name of uid. ARCH and SYSCALL
// are there without auditd as well, where they are known.
//
// Some fields are not as in the record:
//
//	keys    an array: the keys of the rule, key=; empty for (null)
//	argv    an array: EXECVE's a0=, a1= …, which may be in pieces and in several records; PROCTITLE's proctitle=
//	msg     an object: the fields of msg='…', which a program wrote. They say nothing that could be taken for the
//	        kernel's: a pid= in there is msg.pid
//	family  unix, inet, inet6, netlink, vsock, of SOCKADDR's saddr=; with addr, port and scope, or path, or abstract, or
//	        port and groups, or cid and port. saddr itself is there for any other family
//	text    what is no field (avc:  denied  { read } for), and a field whose name came before
//	error   of EXECVE: which argument is missing
//
// # Strings
//
// All is UTF-8. A byte that is not is written as U+FFFD and two hexadecimal digits: the name caf\xe9 is "caf�e9". U+FFFD
// itself is written so as well, as its three bytes. So U+FFFD always begins such an escape, and every other character
// stands for itself: what a name was can be had back.
//
// # Histories
//
// history is the history of the process that the event is about, oldest exec first: name (comm after the exec), pid,
// start, exe where it is known, and via (proc, seen, helper) where the exec was inferred. {"omitted":7} stands for seven
// that are left out. target_history has an object for each OBJ_PID record, that is for each task a signal was sent to,
// of which anything is known: opid says which. It is an array, for a signal to a group has many targets; and it stands
// beside the records, so that these hold nothing but what was read. In an event without SYSCALL whose records name
// several processes, which the kernel does not write, those behind the first have a history of their own.
//
// # Other objects
//
// A gap is {"id":"1795339353.120:0","time":…,"gap":{"reason":"events-lost","from":…,"to":…,"lost":3,"first":4711}}: from
// and to are left out where they are not known, first is the serial of the first event that is missing. by and by_history
// are there if it is known who removed rules or switched auditing off.
//
// A line that is no audit record is {"unparsed":["…"]}, with "continues":true if it goes on in the next object, or never
// ended.
package jsonl
