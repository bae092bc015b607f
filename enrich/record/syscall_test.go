package record

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// body is a SYSCALL record's, as the kernel writes it.
const body = `arch=c000003e syscall=56 success=yes exit=8234 a0=1200011 a1=7ffd0010 a2=0 a3=20988690 items=0 ` +
	`ppid=3660 pid=3767 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ` +
	`ses=4294967295 comm="sshd" exe="/usr/sbin/sshd" subj=kernel key="history"`

func describe(c *Call) string {
	return fmt.Sprintf("arch=%x syscall=%d success=%v exit=%d a0=%x a1=%x ppid=%d pid=%d comm=%s exe=%s",
		c.Arch, c.Number, c.Succeeded, c.Exit, c.A0, c.A1, c.PPID, c.PID, c.Comm, c.Exe)
}

const described = `arch=c000003e syscall=56 success=true exit=8234 a0=1200011 a1=7ffd0010 ppid=3660 pid=3767 ` +
	`comm="sshd" exe="/usr/sbin/sshd"`

func TestCallParse(t *testing.T) {
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(body) }
	want := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(described) }
	untilSubj, _, _ := strings.Cut(body, " subj=")
	for _, c := range []struct{ name, body, want string }{
		{"as the kernel writes it", body, described},
		{"failed", edit("success=yes exit=8234", "success=no exit=-2"), want("success=true exit=8234", "success=false exit=0")},
		{"exit has no result", edit(" success=yes exit=8234", ""), want("success=true exit=8234", "success=false exit=0")},
		{"an address that looks negative", edit("exit=8234", "exit=-1234"), want("exit=8234", "exit=0")},
		{"a name in hexadecimal", edit(`"sshd"`, "6120B1"), want(`"sshd"`, "6120B1")},
		{"a name that ends in a backslash", edit(`"sshd"`, `"evil\"`), want(`"sshd"`, `"evil\"`)},
		{"a name that holds fields", edit(`"sshd"`, `"a pid=1 exe=x"`), want(`"sshd"`, `"a pid=1 exe=x"`)},
		{"a path that holds fields", edit(`/usr/sbin/sshd`, `/a pid=1 comm=b`), want(`/usr/sbin/sshd`, `/a pid=1 comm=b`)},
		{"no path", edit(`"/usr/sbin/sshd"`, "(null)"), want(`"/usr/sbin/sshd"`, "(null)")},
		{"ends after the path", untilSubj, described},
		{"a later pid=", body + " pid=1 ppid=1 syscall=1 comm=x", described},
		{"pid before ppid", edit("ppid=3660 pid=3767", "pid=3767 ppid=3660"), described},
		{"two pid=, the first counts", edit("ppid=3660 pid=3767", "pid=3767 pid=1 ppid=3660"), described},
		{"no ppid, as in old kernels", edit("ppid=3660 ", ""), want("ppid=3660", "ppid=0")},
		{"a bad ppid is none", edit("ppid=3660", "ppid=4294967297"), want("ppid=3660", "ppid=0")},
		{"a bad system call is none", edit("syscall=56", "syscall=clone"), want("syscall=56", "syscall=0")},
		{"io_uring", "uring_op=18 success=yes exit=0 items=0 ppid=3660 pid=3767 uid=0 subj=kernel key=(null)",
			"arch=0 syscall=0 success=true exit=0 a0=0 a1=0 ppid=3660 pid=3767 comm= exe="},
		{"only a pid", "pid=7", "arch=0 syscall=0 success=false exit=0 a0=0 a1=0 ppid=0 pid=7 comm= exe="},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Call{PID: 99, Comm: []byte("of the record before")}
			if !got.Parse([]byte(c.body)) {
				t.Fatalf("not read: %s", c.body)
			}
			if describe(&got) != c.want {
				t.Errorf("read %s\n got %s\nwant %s", c.body, describe(&got), c.want)
			}
			checkCall(t, []byte(c.body))
		})
	}
}

func TestCallParseNeedsAPID(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"nothing", ""},
		{"no pid", strings.Replace(body, " pid=3767", "", 1)},
		{"empty", strings.Replace(body, "pid=3767 ", "pid= ", 1)},
		{"empty at the end", "ppid=1 pid="},
		{"text", strings.Replace(body, " pid=3767", " pid=x", 1)},
		{"negative", strings.Replace(body, " pid=3767", " pid=-1", 1)},
		{"32 bits", strings.Replace(body, " pid=3767", " pid=2147483648", 1)},
		{"33 bits", strings.Replace(body, " pid=3767", " pid=4294967297", 1)},
		{"wraps to 1", strings.Replace(body, " pid=3767", " pid=18446744073709551617", 1)},
		{"the first is bad", strings.Replace(body, " pid=3767", " pid=x pid=1", 1)},
		{"inside a name", `comm="a pid=1 " exe="/x"`},
		{"inside a message", `uid=0 msg='pid=1'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Call
			if got.Parse([]byte(c.body)) {
				t.Errorf("%s is taken for %s", c.body, describe(&got))
			}
		})
	}
}

func TestCallParseTakesFieldsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	fields := strings.Split(body, " ")
	for range 500 {
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		shuffled := strings.Join(fields, " ")
		var got Call
		if !got.Parse([]byte(shuffled)) || describe(&got) != described {
			t.Fatalf("read %s\n got %s\nwant %s", shuffled, describe(&got), described)
		}
	}
}

func TestCallParseAllocatesNothing(t *testing.T) {
	var c Call
	for name, b := range map[string][]byte{
		"usual order": []byte(body),
		"other order": []byte("pid=1 " + body),
		"io_uring":    []byte("uring_op=18 success=yes exit=0 items=0 ppid=1 pid=2 uid=0"),
	} {
		if n := testing.AllocsPerRun(100, func() {
			if !c.Parse(b) {
				t.Fatal("not read")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
