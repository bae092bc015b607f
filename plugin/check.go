package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/elastic/go-libaudit/v2"

	"audisp-history/plugin/check"
	"audisp-history/plugin/rules"
)

func checkCommand(args []string, std stdio) error {
	var config string
	var asJSON bool
	rest, err := parseFlags("check", args, func(f *flag.FlagSet) {
		f.StringVar(&config, "config", "", "")
		f.BoolVar(&asJSON, "json", false, "")
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("check: unexpected argument %q", rest[0])
	}
	machine, err := rules.ForGo(runtime.GOARCH)
	if err != nil {
		return err
	}
	client, err := libaudit.NewAuditClient(nil)
	if err == nil {
		defer client.Close() //nolint:errcheck // it was only asked
	}
	return runCheck(std, asJSON, check.Sources{
		Kernel:     func() (check.Kernel, error) { return client, err },
		Files:      check.Tree("/"),
		Proc:       "/proc",
		Version:    auditctlVersion,
		Config:     pathsOf,
		UID:        os.Geteuid(),
		Machine:    machine,
		ConfigPath: config,
	})
}

// runCheck gathers, judges and writes. Findings are an error: the exit code is 0 only if all is well.
func runCheck(std stdio, asJSON bool, s check.Sources) error {
	findings := check.Judge(check.Gather(context.Background(), s))
	write := check.WriteText
	if asJSON {
		write = check.WriteJSON
	}
	if err := write(std.out, findings); err != nil {
		return err
	}
	if len(findings) > 0 {
		return fmt.Errorf("check: %d findings", len(findings))
	}
	return nil
}

// pathsOf reads the configuration as run does.
func pathsOf(path string) (check.Paths, error) {
	c, err := loadOwn(path)
	p := check.Paths{State: c.State.Dir, Node: c.Node}
	for i := range c.Outputs {
		if f := c.Outputs[i].File; f != nil {
			p.Outputs = append(p.Outputs, f.Path)
		}
	}
	return p, err
}

// auditctlVersion asks auditctl, which comes with auditd and has its version; auditd itself has no option for it.
func auditctlVersion() (string, error) {
	const auditctl = "/sbin/auditctl"
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, auditctl, "-v")
	cmd.Env = []string{"LC_ALL=C"}
	said, err := cmd.Output()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s -v: %w", auditctl, err)
	}
	return string(said), nil
}
