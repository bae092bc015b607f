package enrich_test

import "testing"

// What an init runs is not always shown by /proc: it may have been executed from a file system that is gone. A child that
// nobody saw being forked has executed something all the same if it is called otherwise.
func TestChildOfOneWhoseProgramIsHidden(t *testing.T) {
	s := newStory(t)
	s.look("1<0 init hidden", "2<0 kthreadd kernel")
	s.tell("1<0 open = init\n70<1 open as daemon = init daemon:70?\n71<1 open as init = init")
	s.end()
}

// The program shuts itself in, and /proc shows it no more what others run. An exec that a look has shown by its name alone
// is the one whose record comes behind the look.
func TestExecThatALookHasShownByNameAlone(t *testing.T) {
	s := newStory(t)
	s.tell("1<0 exec init\n1<0 fork 10\n10<1 exec sh")
	s.look("1<0 init hidden", "10<1 sh 20 hidden", "11<10 ls 35 hidden")
	s.tell("+5 1<0 open as init\n+5 11<10 exec ls = init sh:10 ls:11")
	s.end()
}
