package rules

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
)

// A fakeKernel holds rules as the kernel does (kernel/auditfilter.c).
type fakeKernel struct {
	t testing.TB

	mutex  sync.Mutex
	status libaudit.AuditStatus
	rules  []Rule
	open   int // sockets
	asked  struct{ sockets, rules int }
	silent error         // the answer to everything
	busy   chan struct{} // no answer before it is closed
	refuse string        // adding a rule with this in its text fails
	fails  int           // how often it did
	did    []string      // adding and deleting
}

func newKernel(t testing.TB, lines ...string) *fakeKernel {
	t.Helper()
	k := &fakeKernel{t: t, rules: parse(t, lines...)}
	k.status.Enabled = 1
	return k
}

// dial opens a socket.
func (k *fakeKernel) dial() (Kernel, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.open++
	k.asked.sockets++
	if k.open > 1 {
		k.t.Error("two sockets at once")
	}
	return k, nil
}

func (k *fakeKernel) Close() error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.open--
	return nil
}

// wait is how every answer begins.
func (k *fakeKernel) wait() error {
	k.mutex.Lock()
	busy, err := k.busy, k.silent
	k.mutex.Unlock()
	if busy != nil {
		<-busy
	}
	return err
}

func (k *fakeKernel) GetStatus() (*libaudit.AuditStatus, error) {
	err := k.wait()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	s := k.status
	return &s, err
}

func (k *fakeKernel) GetRules() ([][]byte, error) {
	err := k.wait()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.asked.rules++
	var all [][]byte // of none at all go-libaudit makes nil
	for i := range k.rules {
		all = append(all, k.rules[i].data())
	}
	return all, err
}

func (k *fakeKernel) AddRule(data []byte) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	word := binary.NativeEndian.Uint32(data)
	first := word&prepend != 0
	data = slices.Clone(data)
	binary.NativeEndian.PutUint32(data, word&^prepend)
	r := k.parse(data)
	switch {
	case k.status.Enabled == locked:
		return syscall.EPERM
	case k.refuse != "" && strings.Contains(r.line, k.refuse):
		k.fails++
		return syscall.ENOMEM
	case k.find(&r) >= 0:
		return errors.New("rule exists")
	case first:
		k.rules = slices.Insert(k.rules, 0, r)
	default:
		k.rules = append(k.rules, r)
	}
	k.did = append(k.did, "add "+r.line)
	return nil
}

func (k *fakeKernel) DeleteRule(data []byte) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	r := k.parse(data)
	i := k.find(&r)
	if i < 0 {
		return syscall.ENOENT
	}
	k.rules = slices.Delete(k.rules, i, i+1)
	k.did = append(k.did, "delete "+r.line)
	return nil
}

func (k *fakeKernel) parse(data []byte) Rule {
	r, err := Parse(data)
	if err != nil {
		k.t.Error(err)
	}
	return r
}

func (k *fakeKernel) find(r *Rule) int {
	return slices.IndexFunc(k.rules, func(o Rule) bool { return o.same(r) })
}

// made is what was added and deleted, failed how often that failed.
func (k *fakeKernel) made() []string {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return slices.Clone(k.did)
}

// sockets is how many are open, questions how often it was asked for rules.
func (k *fakeKernel) sockets() int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.open
}

func (k *fakeKernel) questions() int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.asked.rules
}

func (k *fakeKernel) failed() int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.fails
}

// set changes something, as an administrator would.
func (k *fakeKernel) set(change func()) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	change()
}

// lines are the rules as auditctl -l prints them.
func (k *fakeKernel) lines() []string {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	all := make([]string, len(k.rules))
	for i := range k.rules {
		all[i] = k.rules[i].line
	}
	return all
}

// listed is how auditctl -l prints rules that were given to it.
func listed(t testing.TB, lines ...string) []string {
	t.Helper()
	all := make([]string, len(lines))
	for i, r := range parse(t, lines...) {
		all[i] = r.line
	}
	return all
}
