package ecs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastic/go-libaudit/v2/aucoalesce"
	"github.com/elastic/go-libaudit/v2/auparse"

	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
)

// Version is the version of ECS that documents conform to.
const Version = "8.11.0"

// Document appends a document, one line of JSON, for each of the frames. The error says that a frame is not one, and
// that it and those behind it are left out. It may be called by any goroutine, and takes some 0.1 ms an event.
func Document(dst, frames []byte) ([]byte, error) {
	for len(frames) > 0 {
		f, rest, err := next(frames)
		if err != nil {
			return dst, err
		}
		frames = rest
		dst = append(document(&f).append(dst), '\n')
	}
	return dst, nil
}

func document(f *frame) object {
	o := object{"@timestamp": ready(jsonl.AppendTime(nil, f.ms))}
	o.put("ecs.version", Version)
	o.put("event.module", "auditd")
	o.put("service.type", "auditd")
	o.put("host.name", f.node)
	switch f.kind {
	case gapFrame:
		f.gap(o)
	case lineFrame:
		o.put("event.kind", "pipeline_error")
		o.put("event.original", string(bytes.TrimSuffix(f.rest, []byte{'\n'})))
		o.put("error.message", "no audit record")
	default:
		f.event(o)
	}
	return o
}

func (f *frame) gap(o object) {
	o.put("event.kind", "event")
	o.put("event.action", "history-gap")
	o.put("event.outcome", "failure")
	o.put("event.reason", f.reason)
	if f.from > 0 {
		o.put("event.start", ready(jsonl.AppendTime(nil, f.from)))
	}
	if f.to > 0 {
		o.put("event.end", ready(jsonl.AppendTime(nil, f.to)))
	}
	o.put("auditd.gap", ready(f.rest))
}

// An event is one that is being made a document of.
type event struct {
	*frame
	object
	parts    []record.Parts
	messages messages
	raw      []record.Parts // records that are shown as they are
	errors   []string
	names    map[string]string // of users and groups, by the field that has their id
	ids      map[string]string
}

func (f *frame) event(o object) {
	e := &event{frame: f, object: o}
	for _, line := range f.lines {
		p, _ := record.Split(line)
		e.parts = append(e.parts, p)
	}
	e.put("event.kind", "event")
	e.put("event.id", strings.Trim(string(jsonl.AppendID(nil, f.ms, f.serial)), `"`))
	e.put("event.sequence", f.serial)
	e.put("auditd.sequence", f.serial)
	e.readNames()
	if c, err := e.coalesce(); err != nil {
		e.errors = append(e.errors, err.Error())
		e.raw = e.parts
	} else {
		e.fields(c)
	}
	e.process()
	e.ancestry()
	e.related()
	if len(e.raw) > 0 {
		var r jsonl.Records
		records, left := r.Append(nil, e.raw)
		e.put("auditd.records", ready(records))
		for _, i := range left {
			e.errors = append(e.errors, fmt.Sprintf("more than one record of its type: %s", bytes.TrimSuffix(e.raw[i].Line, []byte{'\n'})))
		}
	}
	e.put("error.message", strings.Join(e.errors, "; "))
}

var errNothing = errors.New("no record that can be read")

// coalesce has go-libaudit make one event of the records. It may panic: what it reads comes from outside.
func (e *event) coalesce() (c *aucoalesce.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("go-libaudit: %v", p)
		}
	}()
	list := e.list()
	if len(list) == 0 {
		return nil, errNothing
	}
	c, err = aucoalesce.CoalesceMessages(list)
	if err != nil {
		return nil, fmt.Errorf("go-libaudit: %w", err)
	}
	e.messages.back(c)
	return c, nil
}

// list makes messages of the records. Those that it cannot make any of, and those for which the coalesced event has no
// room, are shown as they are.
func (e *event) list() []*auparse.AuditMessage {
	var list []*auparse.AuditMessage
	seen := map[string]bool{}
	for i := range e.parts {
		p := &e.parts[i]
		switch typ := string(p.Type); typ {
		case "EXECVE", "CWD", "PROCTITLE": // read by process
			continue
		default:
			if seen[typ] && typ != "PATH" {
				e.raw = append(e.raw, *p)
				continue
			}
			seen[typ] = true
		}
		m, err := e.messages.add(p)
		if err == nil {
			_, err = m.Data()
		}
		if err != nil {
			e.errors = append(e.errors, fmt.Sprintf("%s: %v", p.Type, err))
			e.raw = append(e.raw, *p)
			continue
		}
		list = append(list, m)
	}
	return list
}

// readNames takes the names of users and groups from what auditd added to the record that is about the process.
func (e *event) readNames() {
	e.names, e.ids = map[string]string{}, map[string]string{}
	for i := range e.parts {
		p := &e.parts[i]
		if i > 0 && p.Kind != record.Syscall {
			continue
		}
		clear(e.names)
		for f := record.FieldsOf(p.Enriched); f.Next(); {
			key := strings.ToLower(string(f.Key))
			if name := string(jsonl.AppendDecoded(nil, f.Key, f.Value)); isID(key) && name != "unset" {
				e.names[key] = name
			}
		}
	}
}

func isID(key string) bool { return strings.HasSuffix(key, "uid") || strings.HasSuffix(key, "gid") }

// process sets what the records beside the SYSCALL record say of the process.
func (e *event) process() {
	var tags, title []string
	var execve [][]byte
	for i := range e.parts {
		p := &e.parts[i]
		switch string(p.Type) {
		case "EXECVE":
			execve = append(execve, p.Raw)
		case "CWD":
			e.put("process.working_directory", fieldOf(p.Raw, "cwd"))
		case "PROCTITLE":
			title = strings.Split(strings.TrimRight(fieldOf(p.Raw, "proctitle"), "\x00"), "\x00")
		}
		if key := fieldOf(p.Raw, "key"); key != "" && p.Kind != record.User {
			tags = append(tags, strings.Split(key, "\x01")...)
		}
	}
	e.put("tags", unique(tags))
	e.put("process.title", strings.Join(title, " "))
	if len(execve) == 0 {
		return
	}
	args, err := record.Args(execve...)
	if err != nil {
		e.errors = append(e.errors, err.Error())
		for i := range e.parts {
			if string(e.parts[i].Type) == "EXECVE" && len(e.raw) < len(e.parts) {
				e.raw = append(e.raw, e.parts[i])
			}
		}
		return
	}
	e.put("process.args", args)
	e.put("process.args_count", uint64(len(args)))
}

// ancestry sets the histories, and the process that made this one: ppid= is only who is its parent now.
func (e *event) ancestry() {
	if e.pid != 0 {
		e.put("process.pid", e.pid)
	}
	if e.creator != 0 {
		e.put("process.parent.pid", e.creator)
	}
	// Where it is not known who that was, ppid= may be its parent since, and the program that of another.
	if e.creator != 0 || e.parent != 0 && e.ppid() == e.parent {
		e.put("process.parent.name", e.name)
		e.put("process.parent.executable", e.exe)
	}
	e.put("auditd.history", array(e.history))
	var targets []object
	for _, t := range e.targets {
		o := object{"opid": t.opid}
		o.put("history", array(t.history))
		targets = append(targets, o)
	}
	if len(targets) > 0 {
		e.put("auditd.target_history", targets)
	}
}

// ppid is what the records say the parent is.
func (e *event) ppid() uint64 {
	process, _ := e.object["process"].(object)
	parent, _ := process["parent"].(object)
	pid, _ := parent["pid"].(uint64)
	return pid
}

// array puts brackets around elements, if there are any.
func array(elements []byte) ready {
	if len(elements) == 0 {
		return nil
	}
	return append(append(ready{'['}, elements...), ']')
}

// related lists the users and addresses of the document, to search for.
func (e *event) related() {
	users, ips := map[string]bool{}, map[string]bool{}
	for _, p := range []string{"user.name", "user.effective.name", "user.target.name", "user.changes.name", "user.audit.name"} {
		users[e.text(p)] = true
	}
	for _, p := range []string{"source.ip", "destination.ip"} {
		ips[e.text(p)] = true
	}
	delete(users, "")
	delete(ips, "")
	e.put("related.user", slices.Sorted(maps.Keys(users)))
	e.put("related.ip", slices.Sorted(maps.Keys(ips)))
}
