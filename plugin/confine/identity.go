package confine

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// An identity is a user with its groups.
type identity struct {
	name   string
	group  string // the name of gid
	uid    int
	gid    int
	groups []int // gid among them
	other  bool  // another than the process has
}

// lookup finds a user in /etc/passwd, where Go looks in a program without cgo; "" is who the process is.
func lookup(name string) (identity, error) {
	if name == "" {
		uid := os.Geteuid()
		return identity{name: strconv.Itoa(uid), uid: uid, gid: os.Getegid()}, nil
	}
	u, err := user.Lookup(name)
	if _, bad := strconv.ParseUint(name, 10, 32); err != nil && bad == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return identity{}, fmt.Errorf("user %s: %w: it must be in /etc/passwd; make it with useradd --system, or leave the user empty",
			name, err)
	}
	who := identity{name: u.Username, group: u.Gid}
	ids, err := u.GroupIds()
	if err != nil {
		return identity{}, fmt.Errorf("user %s: its groups: %w: put /etc/group right", name, err)
	}
	for _, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return identity{}, fmt.Errorf("user %s: the number %q: %w: put /etc/passwd and /etc/group right", name, id, err)
		}
		who.groups = append(who.groups, int(n))
	}
	who.uid, who.gid, who.groups = who.groups[0], who.groups[1], who.groups[2:]
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		who.group = g.Name
	}
	who.other = who.uid != os.Geteuid()
	return who, nil
}

// CheckGroup tells whether files can be given to a group, for a configuration that is read anew.
func CheckGroup(gid int) error {
	if has, errno := realKernel.permitted(); errno == 0 && has&bit(unix.CAP_CHOWN) != 0 {
		return nil
	}
	groups, err := syscall.Getgroups()
	if err != nil || gid == os.Getegid() || slices.Contains(groups, gid) {
		return err
	}
	return fmt.Errorf("group %d: the program did not join it when it started, and can give it no files; "+
		"restart auditd to use it (service auditd restart)", gid)
}
