// Go 1.19 (golang-go), as go build compiles it: a million goroutines, parked on a channel or asleep;
// GOMAXPROCS=1. Nothing else was tried.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func status(field string) int {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); words[0] == field {
			size, _ := strconv.Atoi(words[1])
			return size * 1024
		}
	}
	return 0
}

func mappings() int {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	return strings.Count(string(text), "\n")
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func parked(count int) {
	resident, tables, maps := status("VmRSS:"), status("VmPTE:"), mappings()
	open := make(chan struct{})
	var begun, ended sync.WaitGroup
	begun.Add(count)
	ended.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			begun.Done()
			<-open
			ended.Done()
		}()
	}
	begun.Wait()
	runtime.Gosched()
	fmt.Printf("{\"resident\": %.1f, \"page_tables\": %.1f, \"mappings\": %d}\n",
		float64(status("VmRSS:")-resident)/float64(count), float64(status("VmPTE:")-tables)/float64(count),
		mappings()-maps)
	close(open)
	ended.Wait()
}

func sleepers(count int) {
	late := make([]float64, 0, count)
	first := time.Now().Add(4 * time.Microsecond * time.Duration(count))
	before := cpuSeconds()
	var mutex sync.Mutex
	var ended sync.WaitGroup
	ended.Add(count)
	for i := 0; i < count; i++ {
		due := first.Add(time.Duration(i*7919%1000000) * time.Microsecond)
		go func() {
			time.Sleep(time.Until(due))
			mutex.Lock()
			late = append(late, time.Since(due).Seconds()*1e3)
			mutex.Unlock()
			ended.Done()
		}()
	}
	ended.Wait()
	spent := cpuSeconds() - before
	sort.Float64s(late)
	fmt.Printf("{\"cpu_ns\": %.1f, \"late_p99_ms\": %.2f}\n", spent*1e9/float64(count), late[int(0.99*float64(count-1))])
}

func main() {
	runtime.GOMAXPROCS(1)
	count, _ := strconv.Atoi(os.Args[2])
	if os.Args[1] == "parked" {
		parked(count)
	} else {
		sleepers(count)
	}
}
