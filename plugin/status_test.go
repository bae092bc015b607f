package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	k := newTeller()
	stream := shell(k)
	stream = append(stream, k.call(callExit, "", 11, 10, "ls")...)
	k.serial += 5
	stream = append(stream, k.call(callOpen, "3", 10, 1, "sh")...)
	state := keptState(t, t.TempDir(), bootA, stream)
	var rep report
	d := json.NewDecoder(strings.NewReader(good(t, nil, "status", "--json", "--state-dir", state).out))
	d.DisallowUnknownFields()
	must(t, d.Decode(&rep))
	if !rep.Ended || rep.PID != os.Getpid() || rep.Records != 14 || rep.Events != 7 || rep.Lost != 5 || rep.Histories != 7 ||
		rep.Tasks != 2 || rep.Ending != 1 || rep.Serial != k.serial+1 || rep.LastEvent != moment(k.at) || !rep.Kept || len(rep.Outputs) != 1 || rep.Outputs[0].Waiting != 0 || rep.Unread != 0 || rep.Queue != 0 {
		t.Errorf("%+v", rep)
	}
	reasons := map[string]uint64{}
	for _, g := range rep.Gaps {
		reasons[g.Reason] = g.Lost
	}
	if rep.GapCount != 2 || len(rep.Gaps) != 2 || reasons["events-lost"] != 5 || reasons["start"] != 0 {
		t.Errorf("gaps %+v", rep.Gaps)
	}
	text := good(t, nil, "status", "--state-dir", state).out
	for _, want := range []string{
		"program        not running, version dev, process ",
		"last event     " + moment(k.at) + ", next serial 113; as of ",
		"records        14, 7 events, 7 histories written, 0 lines not understood\n",
		"tasks          2 live, 1 ended remembered, ",
		"queue          0 bytes in memory, 0 in a file; 0 records lost\n",
		"output         history: 9 events delivered, 0 left out by the filter, 0 lost; 0 waiting in 0 bytes\n",
		"state          on disk: snapshot ",
		"boot           0: " + bootA + ", ",
		"gaps           2 since the program began; 5 events lost, 0 late\n",
		"  events-lost: from 2027-01-15T08:00:00.006Z to 2027-01-15T08:00:00.007Z, 5 events lost\n",
		"  start: from the boot to 2027-01-15T08:00:00.001Z, 0 events lost\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "did not end by itself") {
		t.Errorf("it did:\n%s", text)
	}
}

// Who is there is told by the lock, not by the report.
func TestStatusRunning(t *testing.T) {
	h := newHost(t, 1)
	says := func(text string) func() bool {
		return func() bool {
			return strings.Contains(runArgs(nil, "status", "--state-dir", h.path("state")).out, text)
		}
	}
	h.spawnLogged()
	h.record(shell(newTeller()))
	eventually(t, "it runs", says("program        running, "))
	h.kill()
	if !says("program        not running, and it did not end by itself, ")() {
		t.Errorf("killed: %+v", runArgs(nil, "status", "--state-dir", h.path("state")))
	}
	h.end()
	if !says("program        not running, version")() {
		t.Errorf("ended: %+v", runArgs(nil, "status", "--state-dir", h.path("state")))
	}
}

func TestStatusMistakes(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, content, says string }{
		{"before the first run", "-", "the program has not run here, or another directory is configured"},
		{"empty", "", "status.json: unexpected end of JSON input"},
		{"cut off", `{"version": "d`, "status.json: unexpected end of JSON input"},
		{"not JSON", "\x00\x01", "status.json: invalid character"},
		{"of another kind", `[]`, "status.json: json: cannot unmarshal array"},
		{"too long", `{"version": "` + strings.Repeat("x", statusMost) + `"}`, "status.json: unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.RemoveAll(filepath.Join(dir, statusFile)))
			if c.content != "-" {
				must(t, os.WriteFile(filepath.Join(dir, statusFile), []byte(c.content), 0o600))
			}
			for _, args := range [][]string{{"status"}, {"status", "--json"}} {
				r := runArgs(nil, append(args, "--state-dir", dir)...)
				if r.code != exitError || r.out != "" || !strings.HasPrefix(r.err, "audisp-history: status: state directory "+dir+": ") || !strings.Contains(r.err, c.says) {
					t.Errorf("exit code %d, %q, %s", r.code, r.out, r.err)
				}
			}
		})
	}
	if r := runArgs(nil, "status", "now"); r.code != exitUsage || !strings.Contains(r.err, `unexpected argument "now"`) {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
}
