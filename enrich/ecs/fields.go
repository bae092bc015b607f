package ecs

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/elastic/go-libaudit/v2/aucoalesce"

	"audisp-history/enrich/jsonl"
	"audisp-history/enrich/record"
)

// fields sets what the coalesced event says, as Auditbeat does.
func (e *event) fields(c *aucoalesce.Event) {
	e.ids = c.User.IDs
	outcome := c.Result
	if outcome == "fail" {
		outcome = "failure"
	}
	if c.ECS.Event.Outcome != "" {
		outcome = c.ECS.Event.Outcome
	}
	e.put("event.outcome", outcome)
	e.put("event.action", c.Summary.Action)
	e.put("event.category", unique(c.ECS.Event.Category))
	e.put("event.type", unique(c.ECS.Event.Type))

	e.put("auditd.message_type", strings.ToLower(c.Type.String()))
	e.put("auditd.result", c.Result)
	if c.Session != "unset" {
		e.put("auditd.session", c.Session)
	}
	e.put("auditd.summary.actor.primary", e.nameOf(c.Summary.Actor.Primary))
	e.put("auditd.summary.actor.secondary", e.nameOf(c.Summary.Actor.Secondary))
	e.put("auditd.summary.object.type", c.Summary.Object.Type)
	e.put("auditd.summary.object.primary", c.Summary.Object.Primary)
	e.put("auditd.summary.object.secondary", c.Summary.Object.Secondary)
	e.put("auditd.summary.how", c.Summary.How)
	for k, v := range c.Data {
		if rest, ok := strings.CutPrefix(k, "socket_"); ok {
			k = "socket." + rest
		} else if k == "socket" {
			k = "socket.value"
		}
		e.put("auditd.data."+k, v)
	}
	var paths []object
	for _, p := range c.Paths {
		o := object{}
		for k, v := range p {
			o[k] = v
		}
		paths = append(paths, o)
	}
	if len(paths) > 0 {
		e.put("auditd.paths", paths)
	}
	e.users(c)
	e.file(c)
	e.address("source", c.Source)
	e.address("destination", c.Dest)
	if c.Net != nil {
		e.put("network.direction", c.Net.Direction.String())
	}
	e.number("process.pid", c.Process.PID)
	e.number("process.parent.pid", c.Process.PPID)
	e.put("process.name", c.Process.Name)
	e.put("process.executable", c.Process.Exe)
	e.put("process.working_directory", c.Process.CWD)
}

func unique(list []string) []string {
	var u []string
	for _, s := range list {
		if !slices.Contains(u, s) {
			u = append(u, s)
		}
	}
	return u
}

// number sets a field to a number, if that is one.
func (e *event) number(path, value string) {
	if n, ok := record.PID([]byte(value)); ok {
		e.put(path, uint64(n))
	}
}

// places are where Auditbeat has the ids of users and groups, and their names.
var places = map[string]string{
	"uid": "user", "gid": "user.group", "euid": "user.effective", "egid": "user.effective.group", "suid": "user.saved",
	"sgid": "user.saved.group", "fsuid": "user.filesystem", "fsgid": "user.filesystem.group", "auid": "user.audit",
}

func (e *event) users(c *aucoalesce.Event) {
	for key, id := range c.User.IDs {
		place, ok := places[key]
		switch {
		case !ok:
			e.put("auditd.data."+key, id)
		case id != "unset":
			e.put(place+".id", id)
			e.put(place+".name", e.names[key])
		}
	}
	for k, v := range c.User.SELinux {
		e.put("user.selinux."+k, v)
	}
	e.entity("user", c.ECS.User.ECSEntityData)
	e.entity("user.effective", c.ECS.User.Effective)
	e.entity("user.target", c.ECS.User.Target)
	e.entity("user.changes", c.ECS.User.Changes)
	e.entity("group", c.ECS.Group)
	for _, field := range []string{".id", ".name"} {
		if v := e.text("user" + field); v != "" && v == e.text("user.effective"+field) {
			e.drop("user.effective")
		}
	}
}

// entity sets a user or a group that is known by its id or its name, and the other of them if the records tell.
func (e *event) entity(path string, d aucoalesce.ECSEntityData) {
	if d.ID == "" && d.Name == "" {
		return
	}
	if d.ID == "unset" {
		d.ID = ""
	}
	user := strings.HasPrefix(path, "user")
	if user && d.Name == "" {
		d.Name, _ = e.known(d.ID)
	}
	if user && d.ID == "" {
		for key, name := range e.names {
			if name == d.Name && strings.HasSuffix(key, "uid") && d.Name != "" {
				d.ID = e.ids[key]
			}
		}
	}
	e.drop(path + ".id")
	e.drop(path + ".name")
	e.put(path+".id", d.ID)
	e.put(path+".name", d.Name)
}

// known is the name that auditd gave to a user's id.
func (e *event) known(id string) (string, bool) {
	for _, key := range []string{"auid", "uid", "euid", "suid", "fsuid"} {
		if name := e.names[key]; name != "" && e.ids[key] == id {
			return name, true
		}
	}
	return "", false
}

func (e *event) nameOf(id string) string {
	if name, ok := e.known(id); ok {
		return name
	}
	return id
}

func (e *event) file(c *aucoalesce.Event) {
	f := c.File
	if f == nil {
		return
	}
	e.put("file.path", f.Path)
	e.put("file.device", f.Device)
	e.put("file.inode", f.Inode)
	e.put("file.mode", f.Mode)
	e.put("file.uid", f.UID)
	e.put("file.gid", f.GID)
	for k, v := range f.SELinux {
		e.put("file.selinux."+k, v)
	}
	for i := range e.parts {
		p := &e.parts[i]
		if string(p.Type) != "PATH" || fieldOf(p.Raw, "name") != f.Path || fieldOf(p.Raw, "inode") != f.Inode {
			continue
		}
		e.put("file.owner", fieldOf(p.Enriched, "OUID"))
		e.put("file.group", fieldOf(p.Enriched, "OGID"))
		return
	}
}

// fieldOf is the decoded value of a field, empty if there is none.
func fieldOf(body []byte, key string) string {
	v, _ := record.Find(body, key)
	return string(jsonl.AppendDecoded(nil, []byte(key), v))
}

// address sets what is known of one end of a connection. An IP address is one: a program may have written anything.
func (e *event) address(path string, a *aucoalesce.Address) {
	if a == nil {
		return
	}
	if ip, err := netip.ParseAddr(a.IP); err == nil {
		e.put(path+".ip", ip.WithZone("").String())
	} else {
		e.put(path+".address", a.IP)
	}
	if port, err := strconv.ParseUint(a.Port, 10, 16); err == nil {
		e.put(path+".port", port)
	}
	e.put(path+".domain", a.Hostname)
	e.put(path+".path", a.Path)
}
