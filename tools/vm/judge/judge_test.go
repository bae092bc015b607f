package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The stories are about one process: systemd started the script, the script chain, and chain executed itself as "chain b".
const (
	right = "name=swapper/0;pid=1;start=20261125190000=>name=systemd;pid=1;start=20261125190001=>" +
		`name=script.sh;pid=300;start=20261125190100=>name=chain;pid=301;start=20261125190200=>name=chain\040b;pid=301;start=20261125190201`
	token    = "abc0001\t1795633321.500\t301:1795633320:chain\t301:1795633321:chain b"
	prefix   = "prefix swapper/0:1 systemd:1 script.sh:300"
	claims   = prefix + "\nfrom 1795633300.0\nto 1795633400.0\n"
	loggedAt = "type=SYSCALL msg=audit(1795633321.500:77): arch=c000003e syscall=272 success=yes exit=0 a0=0 a1=abc0001 a2=c4a1 a3=0 key=\"probe\"\n"
)

// event is the token's event in the output, with a history.
func event(history string) string {
	return strings.TrimSuffix(loggedAt, "\n") + ` history="` + history + "\"\n"
}

func gapRecord(reason, from, to string) string {
	return "type=TRUSTED_APP msg=audit(1795633330.000:0): pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=history-gap reason=" +
		reason + " from=" + from + " to=" + to + ` lost=0 exe="/usr/sbin/audisp-history" res=failed'` + "\n"
}

// told judges one scenario and returns the report.
func told(t *testing.T, claims, tokens, history, audit string) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1/scenarios/story/claims": claims,
		"1/scenarios/story/tokens": tokens,
		"1/logs/history.log":       history,
		"1/logs/audit.log":         audit,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	good, err := judgeAll(dir, &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), good
}

func expect(t *testing.T, report string, good bool, row string, wantGood bool) {
	t.Helper()
	_, after, _ := strings.Cut(report, "\n")
	line, _, _ := strings.Cut(after, "\n")
	if got := strings.Join(strings.Fields(line), " "); got != row || good != wantGood {
		t.Errorf("row %q, good %v; want %q, %v\n%s", got, good, row, wantGood, report)
	}
}

func TestRightHistoryPasses(t *testing.T) {
	report, good := told(t, claims, token+"\n", event(right), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 none", true)
}

func TestAnotherPidIsWrong(t *testing.T) {
	report, good := told(t, claims, token+"\n", event(strings.Replace(right, "pid=300", "pid=302", 1)), loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 none FAILED", false)
}

func TestAnotherTimeIsWrong(t *testing.T) {
	report, good := told(t, claims, token+"\n", event(strings.Replace(right, "190201", "190211", 1)), loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 none FAILED", false)
}

func TestMissingExecWithoutGapIsWrong(t *testing.T) {
	without := strings.Replace(right, "name=chain;pid=301;start=20261125190200=>", "", 1)
	report, good := told(t, claims, token+"\n", event(without), loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 none FAILED", false)
}

func TestMissingExecInGapIsIncompleteIfMarked(t *testing.T) {
	without := strings.Replace(right, "name=chain;pid=301;start=20261125190200=>", "", 1)
	output := gapRecord("rules-removed", "1795633319.000", "1795633320.000")
	report, good := told(t, claims+"need rules-removed\n", token+"\n", output+event(without+";via=seen"), loggedAt)
	expect(t, report, good, "story 1 0 0 1 0 1 rules-removed", true)
	report, good = told(t, claims+"need rules-removed\n", token+"\n", output+event(without), loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 1 rules-removed FAILED", false)
}

func TestHistoryWithoutItsBeginningMayBeAllowed(t *testing.T) {
	_, after, _ := strings.Cut(right, "name=chain;")
	tail := event("name=chain;" + strings.Replace(after, "190200", "190200;via=seen", 1))
	report, good := told(t, claims, token+"\n", tail, loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 none FAILED", false)
	report, good = told(t, claims+"unsure 100\n", token+"\n", tail, loggedAt)
	expect(t, report, good, "story 1 0 0 1 0 none", true)
	report, good = told(t, claims+"unsure 50\n", token+"\n", tail, loggedAt)
	expect(t, report, good, "story 1 0 0 1 0 none FAILED", false)
}

func TestMarkInThePrefixHasToBeAllowed(t *testing.T) {
	marked := strings.Replace(right, "190001", "190001;via=proc", 1)
	report, good := told(t, claims, token+"\n", event(marked), loggedAt)
	expect(t, report, good, "story 1 0 1 0 0 none FAILED", false)
	report, good = told(t, strings.Replace(claims, "systemd:1", "systemd:1?", 1), token+"\n", event(marked), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 none", true)
}

func TestLostTokenNeedsGap(t *testing.T) {
	other := strings.Replace(event(right), "abc0001", "abc0002", 1)
	report, good := told(t, claims, token+"\n", other, loggedAt)
	expect(t, report, good, "story 1 0 0 0 1 none FAILED", false)
	gap := gapRecord("events-lost", "1795633321.000", "1795633322.000")
	report, good = told(t, claims+"allow events-lost\n", token+"\n", gap+other, loggedAt)
	expect(t, report, good, "story 1 0 0 0 1 1 events-lost", true)
}

func TestGapThatIsNotExpectedFails(t *testing.T) {
	report, good := told(t, claims, token+"\n", gapRecord("state-lost", "1795633321.000", "1795633322.000")+event(right), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 1 state-lost FAILED", false)
}

func TestEventOnlyInAuditdsLogIsLost(t *testing.T) {
	report, good := told(t, claims, token+"\n", event(right), loggedAt+strings.Replace(loggedAt, ":77)", ":78)", 1))
	expect(t, report, good, "story 2 1 0 0 1 none FAILED", false)
}

func TestEventWrittenTwiceFails(t *testing.T) {
	report, good := told(t, claims, token+"\n", event(right)+event(right), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 none FAILED", false)
}

func TestHoleInTheSerialsFails(t *testing.T) {
	first := strings.Replace(event(right), ":77)", ":2)", 1)
	third := strings.Replace(event(right), ":77)", ":4)", 1)
	report, good := told(t, claims+"dense 1795633000\n", token+"\n", first+third, loggedAt)
	expect(t, report, good, "story 1 1 0 0 2 none FAILED", false)
}

func TestSystemRecordMustBeginAtTheBeginning(t *testing.T) {
	login := `type=USER_LOGIN msg=audit(1795633330.000:99): pid=7 msg='op=login exe="/usr/sbin/sshd" res=success' history="` + right + "\"\n"
	every := "every /usr/sbin/sshd USER_LOGIN\n"
	report, good := told(t, claims+every, token+"\n", event(right)+login, loggedAt)
	expect(t, report, good, "story 1 2 0 0 0 none", true)
	_, cut, _ := strings.Cut(right, "=>")
	report, good = told(t, claims+every, token+"\n", event(right)+strings.Replace(login, right, cut, 1), loggedAt)
	expect(t, report, good, "story 1 1 1 0 0 none FAILED", false)
	report, good = told(t, claims+every, token+"\n", event(right), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 none FAILED", false)
}

func TestWhatTheScriptFoundCounts(t *testing.T) {
	report, good := told(t, claims+"bad the plugin is gone\n", token+"\n", event(right), loggedAt)
	expect(t, report, good, "story 1 1 0 0 0 none FAILED", false)
}

func TestUnfinishedScenarioIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "story")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "claims"), []byte("from 1795633300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readScenario(dir); err == nil {
		t.Error("a scenario without to was taken for finished")
	}
}
