package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/probe"
	"github.com/udpshard/udpshard/internal/sockets"
)

func TestReceiveBuffer(t *testing.T) {
	const most = "proc/sys/net/core/rmem_max"
	has := func(bytes uint32) []sockets.Watched {
		return []sockets.Watched{held(812, "udpshard", func(s *sockets.Watched) { s.BufferBytes = 2 * bytes })}
	}
	small := files{most: "212992\n"}
	testSituations(t, map[string]given{
		"an instance's": {situation{files: small}, wants{"receive buffer", `^at least 32MiB a socket, 32MiB asked$`, "", OK}},
		"an instance's, cut": {situation{files: small, sockets: has(212992)},
			wants{"receive buffer", `have 208KiB, not 32MiB: net.core.rmem_max is 208KiB`, "sysctl -w net.core.rmem_max=33554432", Warn}},
		"an instance's, as it asked": {situation{sockets: has(1 << 20)},
			wants{"receive buffer", `^sockets have 1MiB, not 32MiB: the instance asked for less, since net.core.rmem_max is 32MiB$`, "restart udpshard.service with --receive-buffer 33554432", Warn}},
		"an instance's, by default": {situation{sockets: has(1 << 20), listener: func(l *Listener) { l.DefaultReceiveBuffer = true }},
			wants{"receive buffer", `^at least 1MiB a socket, as the instance asked; the default is 32MiB$`, "", OK}},
		"another process's": {situation{sockets: []sockets.Watched{held(812, "", unseen)}}, wants{"receive buffer", `^32MiB a socket, as asked$`, "", OK}},
		"granted":           {situation{nobody: true}, wants{"receive buffer", `^32MiB a socket, as asked$`, "", OK}},
		"cut": {situation{nobody: true, files: small, granted: 212992},
			wants{"receive buffer", `gets 208KiB of 32MiB asked: net.core.rmem_max is 208KiB`, "sysctl -w net.core.rmem_max=33554432", Warn}},
		"cut, and rmem_max unseen": {situation{nobody: true, files: files{most: ""}, granted: 212992},
			wants{"receive buffer", `can't be read here`, "sysctl -w net.core.rmem_max=33554432", Warn}},
		"by privilege": {situation{nobody: true, files: small}, wants{"receive buffer", `by privilege \(CAP_NET_ADMIN\); without the privilege 208KiB: sysctl -w net.core.rmem_max=33554432$`, "", OK}},
	})
}

// grant returns the size that was asked, not the doubled size of the kernel.
func TestGrant(t *testing.T) {
	granted, err := grant(65536)
	if err != nil || granted != 65536 {
		t.Errorf("%d, %v", granted, err)
	}
}

func TestCores(t *testing.T) {
	testSituations(t, map[string]given{
		"one each": {situation{}, wants{"cpus", `^2 shards on 2 CPUs \(0-1\) of the 4 that pid 812 may use$`, "", OK}},
		"shared": {situation{listener: func(l *Listener) { l.CPUs = []int{2, 2} }},
			wants{"cpus", `^2 shards on 1 CPU \(2\): shards that share`, "restart udpshard.service with --shards 1", Warn}},
		"shared, before it starts": {situation{nobody: true, listener: func(l *Listener) { l.CPUs = []int{2, 2} }},
			wants{"cpus", `^2 shards on 1 CPU \(2\): shards that share`, "udpshard serve --shards 1", Warn}},
		"narrower": {situation{files: files{"proc/812/status": "Name:\tudpshard\nCpus_allowed_list:\t0\n"}},
			wants{"cpus", `pid 812 may only use 0`, "restart udpshard.service with --cpus 0", Warn}},
		"narrower, by default": {situation{sockets: []sockets.Watched{held(812, "udpshard")}, files: files{"proc/812/status": "Name:\tudpshard\nCpus_allowed_list:\t2\n"}, listener: func(l *Listener) { l.DefaultCPUs = true }},
			wants{"cpus", `^1 shard on 1 CPU \(2\) of the 1 that pid 812 may use$`, "", OK}},
		"by its threads": {situation{files: files{"proc/812/status": "Name:\tudpshard\nCpus_allowed_list:\t0\n",
			"proc/812/task/812/status": "Name:\tudpshard\nCpus_allowed_list:\t0\n", "proc/812/task/813/status": "Name:\tudpshard\nCpus_allowed_list:\t0-2\n"}},
			wants{"cpus", `^2 shards on 2 CPUs \(0-1\) of the 3 that pid 812 may use$`, "", OK}},
		"more than asked": {situation{sockets: slices.Repeat([]sockets.Watched{held(812, "udpshard")}, 4)},
			wants{"cpus", `^4 shards on 4 CPUs \(0-3\) of the 4`, "", OK}},
		"started from here": {situation{nobody: true}, wants{"cpus", `of the 4 that processes here may use$`, "", OK}},
	})
}

func TestQuota(t *testing.T) {
	const unit = "sys/fs/cgroup/system.slice/udpshard.service/"
	lift := "systemctl set-property udpshard.service CPUQuota=300%"
	container := "sys/fs/cgroup/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope/"
	testSituations(t, map[string]given{
		"none":   {situation{}, wants{"cpu quota", `^no control group of pid 812 has a quota$`, "", OK}},
		"enough": {situation{files: files{unit + "cpu.max": "200000 100000\n"}}, wants{"cpu quota", `^udpshard.service has 2 CPUs for 2 shards, and was throttled 0 times since its start$`, "", OK}},
		"little": {situation{files: files{unit + "cpu.max": "150000 100000\n"}}, wants{"cpu quota", `^udpshard.service has 1.5 CPUs for 2 shards: under load`, lift, Warn}},
		"throttled": {situation{files: files{unit + "cpu.max": "200000 100000\n"}, later: files{unit + "cpu.stat": "nr_periods 9\nnr_throttled 4\n"}},
			wants{"cpu quota", `and was throttled 4 times in`, lift, Warn}},
		"above": {situation{files: files{"sys/fs/cgroup/system.slice/cpu.max": "50000 100000\n"}},
			wants{"cpu quota", `^system.slice has 0.5 CPUs`, "systemctl set-property system.slice CPUQuota=300%", Warn}},
		"docker": {situation{files: files{"proc/812/cgroup": "0::/system.slice/" + container[len("sys/fs/cgroup/system.slice/"):len(container)-1] + "\n", container + "cpu.max": "50000 100000\n"}},
			wants{"cpu quota", `has 0.5 CPUs for 2 shards`, "docker update --cpus 3 0123456789ab", Warn}},
		"version 1": {situation{files: files{
			"proc/812/cgroup":                    "4:memory:/\n3:cpu,cpuacct:/docker/a\n0::/\n",
			"proc/4711/mountinfo":                "30 1 0:26 /docker/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n31 1 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}}, wants{"cpu quota", `^no control group of pid 812 has a quota$`, "", OK}},
		"little, of version 1": {situation{files: files{
			"proc/812/cgroup":      "3:cpu,cpuacct:/docker/a\n0::/\n",
			"proc/4711/mountinfo":  "30 1 0:26 /docker/a / rw - cgroup cgroup rw,cpu,cpuacct\n",
			"sys/cpu.cfs_quota_us": "50000\n", "sys/cpu.cfs_period_us": "100000\n",
		}}, wants{"cpu quota", `has 0.5 CPUs for 2 shards`, "echo -1 > ROOT/sys/cpu.cfs_quota_us", Warn}},
		"out of sight":     {situation{files: files{"proc/812/cgroup": "0::/../other.service\n"}}, wants{"cpu quota", `^the process's control group is not visible$`, "", Skip}},
		"no control group": {situation{files: files{"proc/4711/mountinfo": "31 1 0:27 / /proc rw - proc proc rw\n"}}, wants{"cpu quota", `is not visible$`, "", Skip}},
	})
}

// The manager of a control group raises the limit, so that the limit stays.
func TestRaise(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for dir, want := range map[string]string{
		"system.slice/x.service":                                             "systemctl set-property x.service CPUQuota=300%",
		"user.slice/user-7.slice/user@7.service/app.slice/x.scope":           "systemctl --user set-property x.scope CPUQuota=300%",
		"user.slice/user-7.slice/user@7.service":                             "systemctl set-property user@7.service CPUQuota=300%",
		"docker/" + id:                                                       "docker update --cpus 3 0123456789ab",
		"machine.slice/libpod-" + id + ".scope/container":                    "podman update --cpus 3 0123456789ab",
		"kubepods.slice/kubepods-pod7.slice/cri-containerd-" + id + ".scope": "raise resources.limits of the pod of container 0123456789ab",
		"other/" + id: "echo -1 > /sys/fs/cgroup/cpu/other/" + id + "/cpu.cfs_quota_us",
	} {
		if got := raise("/sys/fs/cgroup/cpu/"+dir, "CPUQuota=300%", "--cpus 3", "cpu.cfs_quota_us", "-1"); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	const unit = "sys/fs/cgroup/system.slice/udpshard.service/"
	many := func(l *Listener) { l.ShardFiles = 400 }
	testSituations(t, map[string]given{
		"files":     {situation{}, wants{"open files", `^pid 812 may open 524,288, 18 are needed$`, "", OK}},
		"few files": {situation{files: files{"proc/812/limits": limitsOf("512", "512")}, listener: many}, wants{"open files", `may open 512, and 2 shards may come to need 816`, "prlimit --pid 812 --nofile=1632:1632", Warn}},
		"few files, before it starts": {situation{nobody: true, files: files{"proc/4711/limits": limitsOf("512", "512")}, listener: many},
			wants{"open files", `may open 512, and 2 shards need 816`, "ulimit -n 1632", Fail}},
		"no bound": {situation{files: files{"proc/812/limits": limitsOf("512", "unlimited")}}, wants{"open files", `may open any number`, "", OK}},
		"unseen":   {situation{files: files{"proc/812/limits": ""}}, wants{"open files", `limits: no such file`, "", Skip}},
		"threads":  {situation{}, wants{"threads", `^18 are needed, the host has 200 of 60,000$`, "", OK}},
		"pids":     {situation{files: files{unit + "pids.max": "30\n", unit + "pids.current": "25\n"}}, wants{"threads", `has 25 of 30 threads, and 8 more are needed`, "systemctl set-property udpshard.service TasksMax=66", Fail}},
		"the host": {situation{files: files{"proc/sys/kernel/threads-max": "205\n"}}, wants{"threads", `^the host has 200 of 205`, "sysctl -w kernel.threads-max=416", Fail}},
	})
}

func TestMemory(t *testing.T) {
	const unit, environ = "sys/fs/cgroup/system.slice/udpshard.service/", "proc/812/environ"
	testSituations(t, map[string]given{
		"no limit":     {situation{}, wants{"memory", `^shards take 20MiB at most; no control group of pid 812 has a limit$`, "", OK}},
		"enough":       {situation{files: files{unit + "memory.max": "536870912\n"}}, wants{"memory", `^udpshard.service may have 512MiB; .*, and full receive buffers 128MiB$`, "", OK}},
		"for no queue": {situation{files: files{unit + "memory.max": "67108864\n"}}, wants{"memory", `buffers can't fill`, "systemctl set-property udpshard.service MemoryMax=310378496", Warn}},
		"for no shard": {situation{files: files{unit + "memory.max": "1048576\n"}}, wants{"memory", `may kill the process$`, "systemctl set-property udpshard.service MemoryMax=310378496", Warn}},

		"environment":        {situation{}, wants{"go runtime", `^GOGC=100$`, "", OK}},
		"GOMAXPROCS":         {situation{files: files{environ: "GOMAXPROCS=1\x00"}}, wants{"go runtime", `^GOMAXPROCS=1 leaves one CPU for outputs, .* of 2 shards$`, "restart udpshard.service without GOMAXPROCS", Warn}},
		"GOMEMLIMIT":         {situation{files: files{environ: "GOMEMLIMIT=1GiB\x00"}}, wants{"go runtime", `^GOMEMLIMIT=1GiB$`, "", OK}},
		"GOMEMLIMIT, little": {situation{files: files{environ: "GOMEMLIMIT=10MiB\x00"}}, wants{"go runtime", `less than the 20MiB`, "restart udpshard.service without GOMEMLIMIT", Warn}},
		"GOMEMLIMIT, too much": {situation{files: files{environ: "GOMEMLIMIT=1GiB\x00", unit + "memory.max": "536870912\n"}},
			wants{"go runtime", `more than the 512MiB that udpshard.service may have`, "restart udpshard.service with GOMEMLIMIT=483183819", Warn}},
		"GOMEMLIMIT, before it starts": {situation{nobody: true, files: files{"proc/4711/environ": "GOMEMLIMIT=10MiB\x00"}},
			wants{"go runtime", `less than the 20MiB`, "unset GOMEMLIMIT", Warn}},
		"not to be read": {situation{files: files{environ: ""}}, wants{"go runtime", `environment of pid 812 can't be read`, "", Skip}},
	})
}

func TestFeatures(t *testing.T) {
	all := probe.Features()
	var r results
	r.features(all)
	for _, f := range r.findings {
		if f.Level != OK {
			t.Errorf("%+v", f)
		}
	}
	says := func(err error) func() error { return func() error { return err } }
	r = results{check: "kernel"}
	r.features([]probe.Feature{
		{Name: "OLD", For: "this", Since: "9.1", Required: true, Try: says(unix.ENOSYS)},
		{Name: "SHUT", For: "that", Since: "9.2", Required: true, Try: says(unix.EPERM)},
		{Name: "NEW", For: "more", Since: "9.3", Try: says(unix.ENOPROTOOPT)},
		{Name: "FORCE", For: "all", Since: "9.4", Try: says(unix.EPERM)},
		{Name: "HERE", Since: "2.2", Try: says(nil)},
		{Name: "FULL", For: "that", Since: "9.5", Required: true, Try: says(unix.EADDRINUSE)},
	})
	want := []Finding{
		{Check: "kernel", Level: Fail, Finding: "OLD: function not implemented: serve needs it for this", Remedy: "boot Linux 9.1 or later"},
		{Check: "kernel", Level: Fail, Finding: "SHUT: operation not permitted: serve needs it for that; a seccomp profile or SystemCallFilter= forbids it", Remedy: "docker run --network host --security-opt seccomp=unconfined udpshard"},
		{Check: "kernel", Level: Skip, Finding: "FULL: address already in use: no free port to try the feature with"},
		{Check: "kernel", Level: OK, Finding: "1 of 6 features work: HERE; optional and missing: NEW: more, since Linux 9.3; FORCE: not permitted"},
	}
	if !slices.Equal(r.findings, want) {
		t.Errorf("%+v\nwant %+v", r.findings, want)
	}
}

// Examine fails without procfs. The end of the context ends the interval.
func TestExamineFails(t *testing.T) {
	h := New()
	h.Proc = t.TempDir() + "/none"
	if _, err := h.Examine(context.Background(), nil, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if findings, err := New().Examine(ctx, nil, time.Hour); err != nil || len(findings) == 0 {
		t.Errorf("%d findings, %v", len(findings), err)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{cpuMask([]int{0, 1}), "3"}, {cpuMask([]int{33}), "2,00000000"}, {cpuMask(nil), "0"}, {cpuMask([]int{0, 31, 32, 95}), "80000000,00000001,80000001"},
		{why(&os.PathError{Op: "open", Path: "/x", Err: unix.ENOENT}), "/x: no such file or directory"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for text, want := range map[string]uint64{"10MiB": 10 << 20, "1073741824": 1 << 30, "2TiB": 2 << 40, "7B": 7} {
		if got, ok := parseMemoryLimit(text); !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	if _, ok := parseMemoryLimit("off"); ok {
		t.Error("off is a number")
	}
}
