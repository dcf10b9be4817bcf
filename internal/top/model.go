package top

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// model is the state of the screen (tea.Model).
type model struct {
	ctx       context.Context
	config    Config
	instances []*instance
	asking    []bool // a request to the instance is under way
	screen    screen
	selected  string // ID of the selected row
	leaves    bool   // shows the rows of shards
	help      bool
}

func newModel(ctx context.Context, c Config) *model {
	m := &model{ctx: ctx, config: c, leaves: true, asking: make([]bool, len(c.Instances))}
	for _, i := range c.Instances {
		m.instances = append(m.instances, newInstance(i.String()))
	}
	m.screen = screen{interval: c.Interval, instances: m.instances, now: time.Now()}
	return m
}

// tick is the time for the next requests.
type tick time.Time

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return m.next() }

// next asks the instances whose last request has ended, and waits for the interval.
func (m *model) next() tea.Cmd {
	commands := []tea.Cmd{tea.Tick(m.config.Interval, func(now time.Time) tea.Msg { return tick(now) })}
	for i, from := range m.config.Instances {
		if m.screen.paused || m.asking[i] {
			continue
		}
		m.asking[i] = true
		first := m.instances[i].at.IsZero()
		commands = append(commands, func() tea.Msg { return ask(m.ctx, from, i, first) })
	}
	return tea.Batch(commands...)
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var then tea.Cmd
	switch msg := msg.(type) {
	case tick:
		then = m.next()
		if !m.screen.paused {
			m.screen.now = time.Time(msg)
		}
	case answer:
		m.asking[msg.instance] = false
		if !m.screen.paused {
			m.instances[msg.instance].update(msg)
			m.screen.now = msg.at
		}
	case tea.WindowSizeMsg:
		m.screen.width, m.screen.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		then = m.press(msg.String())
	}
	m.layOut()
	return m, then
}

// press does what a key asks for.
func (m *model) press(key string) tea.Cmd {
	s := &m.screen
	if m.help && key != "q" && key != "ctrl+c" {
		m.help = false
		return nil
	}
	page := max(1, s.height/2)
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?":
		m.help = true
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-page)
	case "pgdown":
		m.move(page)
	case "home":
		m.move(-len(s.lines))
	case "end":
		m.move(len(s.lines))
	case "s", ">":
		s.sortBy = (s.sortBy + 1) % len(columns)
	case "<":
		s.sortBy = (s.sortBy + len(columns) - 1) % len(columns)
	case "r":
		s.reverse = !s.reverse
	case "space":
		s.paused = !s.paused
	case "tab", "enter":
		m.leaves = !m.leaves
	case "i":
		s.summed = !s.summed
	}
	return nil
}

// move moves the selection.
func (m *model) move(by int) {
	s := &m.screen
	if len(s.lines) > 0 {
		s.selected = max(0, min(s.selected+by, len(s.lines)-1))
		m.selected = s.lines[s.selected].id
	}
}

// layOut makes the rows of the screen, and finds the selected row.
func (m *model) layOut() {
	s := &m.screen
	tree := rows(m.instances, s.summed, s.now)
	sortRows(tree, columns[s.sortBy], s.reverse)
	s.lines = flatten(tree, m.leaves, 0, "")
	at := slices.IndexFunc(s.lines, func(l line) bool { return l.id == m.selected })
	if at >= 0 {
		s.selected = at
	}
	m.move(0)
}

// View implements tea.Model.
func (m *model) View() tea.View {
	text := ""
	switch {
	case m.screen.width == 0: // not known yet
	case m.help:
		text = fit(HelpText, m.screen.width, m.screen.height)
	default:
		text = m.screen.text()
	}
	view := tea.NewView(text)
	view.AltScreen = true
	return view
}

// HelpText describes the keys and what the screen shows, in 80 columns and 24 lines.
const HelpText = `Keys:
  q, Ctrl-C              quit
  up, down, j, k         select a row: its details are at the bottom
  PgUp, PgDn, Home, End  select a row further away
  s, >, <                sort by the next or the previous column
  r                      reverse the order
  Tab, Enter             hide or show shards
  i                      show several instances apart, or add up listeners
  Space                  pause, or go on
  ?                      this help; any key closes it

Columns:
  deliv/s  datagrams that the output has accepted
  lost     datagrams lost since the counters began
  refus/s  datagrams dropped on purpose: allow, rate_limit, malformed
  queue    how full the receive buffer is; of a listener: its fullest shard
  CPU      of the shard's thread, in percent of a core; bars: received datagrams

States:
  waits    the shard waits: its output accepts no records
  stalled  the shard does not read its queue
  avoided  steering gives the shard no datagrams
  sprays   steering spreads a large sender over all shards
  skewed   some shards have much more load than others
`
