// Go 1.19 (golang-go), as go build compiles it, GOMAXPROCS=1 as all programs of the suite have one
// processor. Its goroutines need no pool: stacks are 2 KiB and copied when they grow. Garbage
// collection is part of what it costs. Nothing else was tried.
//
// It prints what Google Benchmark prints, for the rows that -filter matches.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type result struct {
	Name           string  `json:"name"`
	RunName        string  `json:"run_name"`
	RunType        string  `json:"run_type"`
	ItemsPerSecond float64 `json:"items_per_second"`
	ErrorOccurred  bool    `json:"error_occurred"`
	ErrorMessage   string  `json:"error_message"`
}

// A row does n times its work, and says how many items that were, how long they took, and whether
// they were counted right.
type row struct {
	name string
	work func(n int) (items int, took time.Duration, right bool)
}

// cpu is the process's CPU time, as Google Benchmark takes it: others on the machine do not count.
func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// timed is for work of which all counts.
func timed(work func(n int) (int, bool)) func(int) (int, time.Duration, bool) {
	return func(n int) (int, time.Duration, bool) {
		begin := cpu()
		items, right := work(n)
		return items, cpu() - begin, right
	}
}

// yield is timed from when all tasks have begun until the first has ended, so that neither counts.
func yield(tasks, turns int) func(int) (int, time.Duration, bool) {
	return func(n int) (int, time.Duration, bool) {
		items, right := 0, true
		var took time.Duration
		for i := 0; i < n; i++ {
			begun, ended, counted := 0, 0, 0
			var begin time.Duration
			var all sync.WaitGroup
			all.Add(tasks)
			for task := 0; task < tasks; task++ {
				go func() {
					if begun++; begun == tasks {
						begin = cpu()
					}
					for begun < tasks {
						runtime.Gosched()
					}
					for turn := 0; turn < turns; turn++ {
						counted++
						runtime.Gosched()
					}
					if ended++; ended == 1 {
						took += cpu() - begin
						items += counted
					}
					all.Done()
				}()
			}
			all.Wait()
			right = right && counted == tasks*turns
		}
		return items, took, right
	}
}

func channel(n int) (int, bool) {
	there, back := make(chan int), make(chan int)
	counted := 0
	go func() {
		for value := range there {
			counted++
			back <- value
		}
		close(back)
	}()
	for i := 0; i < n; i++ {
		there <- 1
		counted += <-back
	}
	close(there)
	<-back
	return 2 * n, counted == 2*n
}

func lockUnlock(n int) (int, bool) {
	var mutex sync.Mutex
	counted := 0
	for i := 0; i < n; i++ {
		mutex.Lock()
		counted++
		mutex.Unlock()
	}
	return n, counted == n
}

func spawnJoin(n int) (int, bool) {
	counted := 0
	done := make(chan struct{})
	for i := 0; i < n; i++ {
		go func() {
			counted++
			done <- struct{}{}
		}()
		<-done
	}
	return n, counted == n
}

func batch(tasks int, body func()) func(int) (int, bool) {
	return func(n int) (int, bool) {
		counted := 0
		for i := 0; i < n; i++ {
			var all sync.WaitGroup
			all.Add(tasks)
			for task := 0; task < tasks; task++ {
				go func() {
					body()
					counted++
					all.Done()
				}()
			}
			all.Wait()
		}
		return n * tasks, counted == n*tasks
	}
}

const leaves = 1000000

func skynetNode(parent chan int, number, size int) {
	if size == 1 {
		parent <- number
		return
	}
	children := make(chan int)
	for i := 0; i < 10; i++ {
		go skynetNode(children, number+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-children
	}
	parent <- sum
}

func skynet(n int) (int, bool) {
	right := true
	for i := 0; i < n; i++ {
		root := make(chan int)
		go skynetNode(root, 0, leaves)
		right = right && <-root == leaves*(leaves-1)/2
	}
	return n * leaves, right
}

var table = []row{
	{"yield/2", yield(2, 2000)},
	{"yield/1000", yield(1000, 2000)},
	{"yield/10000", yield(10000, 20)},
	{"yield/100000", yield(100000, 20)},
	{"channel", timed(channel)},
	{"lock_unlock", timed(lockUnlock)},
	{"spawn_join", timed(spawnJoin)},
	{"spawn_batch/10000", timed(batch(10000, func() {}))},
	{"alive/100000", timed(batch(100000, runtime.Gosched))},
	{"skynet", timed(skynet)},
}

// measure repeats the work until it has taken long enough to be timed; once untimed before.
func measure(each row, least time.Duration) result {
	_, _, right := each.work(1)
	for n := 1; ; n *= 2 {
		items, took, ok := each.work(n)
		right = right && ok
		if took < least {
			continue
		}
		made := result{Name: each.name, RunName: each.name, RunType: "iteration",
			ItemsPerSecond: float64(items) / took.Seconds()}
		if !right {
			made.ErrorOccurred, made.ErrorMessage = true, "the count is wrong"
		}
		return made
	}
}

func main() {
	filter := flag.String("filter", ".", "rows to run")
	least := flag.Float64("min_time", 0.1, "seconds that a row takes at least")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	wanted := regexp.MustCompile(*filter)
	results := []result{}
	for _, each := range table {
		if wanted.MatchString(each.name) {
			results = append(results, measure(each, time.Duration(*least*1e9)))
		}
	}
	text, err := json.Marshal(map[string]any{"benchmarks": results})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}
