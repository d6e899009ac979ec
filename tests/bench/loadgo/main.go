// loadgo drives an etcd server with etcd's own Go client and prints one JSON line with what it saw.
//
//	loadgo -endpoint http://127.0.0.1:2379 -work put|get|watch|fill -clients 1000 -conns 8 -keys 1000 -seconds 10
//
// put and get keep -clients requests outstanding, each goroutine one, for -warmup and then -seconds; only the latter
// is counted. watch opens -clients watchers on one key, writes that key from one writer for -seconds and waits until
// every watcher has seen every write. fill writes -keys keys, -txn of them in a transaction.
// Its counterpart for zetcd, workload by workload, is tests/bench/load.py.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type result struct {
	Work        string  `json:"work"`
	Clients     int     `json:"clients"`
	Seconds     float64 `json:"seconds"`
	Requests    int64   `json:"requests"`
	RequestsAll int64   `json:"requests_all"`
	PerSecond   float64 `json:"per_second"`
	P50us       float64 `json:"p50_us"`
	P99us       float64 `json:"p99_us"`
	CPUSeconds  float64 `json:"cpu_s"`
	Errors      int64   `json:"errors"`
}

var (
	endpoint = flag.String("endpoint", "http://127.0.0.1:2379", "client URL of the server; several for put and get: a,b,c")
	work     = flag.String("work", "put", "put, get, watch or fill")
	clients  = flag.Int("clients", 1, "requests outstanding, or watchers")
	conns    = flag.Int("conns", 1, "connections they share")
	keys     = flag.Int("keys", 1000, "keys drawn from, or written by fill")
	size     = flag.Int("size", 256, "bytes of a value")
	seconds  = flag.Float64("seconds", 10, "how long to measure")
	warmup   = flag.Float64("warmup", 1, "how long to run before that")
	perTxn   = flag.Int("txn", 100, "fill: puts in one transaction")
	seed     = flag.Int64("seed", 1, "of the keys drawn")
)

func main() {
	flag.Parse()
	if *conns > *clients {
		*conns = *clients
	}
	pool := make([]*clientv3.Client, *conns)
	members := strings.Split(*endpoint, ",")
	for i := range pool {
		member := members[i%len(members)]
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{member}, DialTimeout: 5 * time.Second})
		check(err)
		pool[i] = client
	}
	var out result
	switch *work {
	case "put", "get":
		out = requests(pool)
	case "watch":
		out = watch(pool)
	case "fill":
		out = fill(pool)
	default:
		log.Fatalf("unknown work %q", *work)
	}
	out.Work, out.Clients = *work, *clients
	check(json.NewEncoder(os.Stdout).Encode(out))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func key(n int) string { return fmt.Sprintf("bench/%012d", n) }

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// requests keeps *clients requests outstanding and counts those that end inside the measured time.
func requests(pool []*clientv3.Client) result {
	var phase int32 // 0 warm-up, 1 measuring, 2 over
	var all, failed int64
	latencies := make([][]float64, *clients)
	var group sync.WaitGroup
	for i := 0; i < *clients; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			client := pool[i%len(pool)]
			dice := rand.New(rand.NewSource(*seed*1_000_003 + int64(i)))
			value := make([]byte, *size)
			dice.Read(value)
			for {
				name := key(dice.Intn(*keys))
				started := time.Now()
				var err error
				if *work == "put" {
					_, err = client.Put(context.Background(), name, string(value))
				} else {
					_, err = client.Get(context.Background(), name)
				}
				took := time.Since(started)
				atomic.AddInt64(&all, 1)
				switch atomic.LoadInt32(&phase) {
				case 2:
					return
				case 1:
					if err != nil {
						atomic.AddInt64(&failed, 1)
					} else {
						latencies[i] = append(latencies[i], float64(took.Nanoseconds())/1000)
					}
				}
			}
		}(i)
	}
	time.Sleep(time.Duration(*warmup * float64(time.Second)))
	before, started := cpu(), time.Now()
	atomic.StoreInt32(&phase, 1)
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	atomic.StoreInt32(&phase, 2)
	took, used := time.Since(started).Seconds(), cpu()-before
	group.Wait()
	var merged []float64
	for _, some := range latencies {
		merged = append(merged, some...)
	}
	out := result{Seconds: took, Requests: int64(len(merged)), RequestsAll: all, CPUSeconds: used, Errors: failed}
	out.PerSecond = float64(len(merged)) / took
	if len(merged) > 0 {
		sort.Float64s(merged)
		out.P50us, out.P99us = merged[len(merged)/2], merged[len(merged)*99/100]
	}
	return out
}

// watch counts events delivered: writes times watchers, over the time from the first write to the last delivery.
func watch(pool []*clientv3.Client) result {
	const name = "bench/watched"
	var delivered int64
	var last int64 // revision of the last write, 0 while writing goes on
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	head, err := pool[0].Put(ctx, name, "start")
	check(err)
	for i := 0; i < *clients; i++ {
		channel := pool[i%len(pool)].Watch(ctx, name, clientv3.WithRev(head.Header.Revision+1), clientv3.WithCreatedNotify())
		<-channel
		group.Add(1)
		go func() {
			defer group.Done()
			for response := range channel {
				check(response.Err())
				atomic.AddInt64(&delivered, int64(len(response.Events)))
				if len(response.Events) > 0 {
					seen := response.Events[len(response.Events)-1].Kv.ModRevision
					if end := atomic.LoadInt64(&last); end != 0 && seen >= end {
						return
					}
				}
			}
		}()
	}
	runtime.GC()
	value := string(make([]byte, *size))
	before, started := cpu(), time.Now()
	var writes int64
	var latencies []float64
	for time.Since(started).Seconds() < *seconds {
		began := time.Now()
		_, err := pool[0].Put(ctx, name, value)
		check(err)
		latencies = append(latencies, float64(time.Since(began).Nanoseconds())/1000)
		writes++
	}
	// One more write tells every watcher, however far behind, which revision is the last.
	atomic.StoreInt64(&last, head.Header.Revision+writes+1)
	_, err = pool[0].Put(ctx, name, value)
	check(err)
	writes++
	group.Wait()
	took := time.Since(started).Seconds()
	sort.Float64s(latencies)
	out := result{Seconds: took, Requests: delivered, RequestsAll: delivered, CPUSeconds: cpu() - before}
	out.PerSecond = float64(delivered) / took
	out.P50us, out.P99us = latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	out.Errors = writes*int64(*clients) - delivered
	return out
}

// fill writes every key once.
func fill(pool []*clientv3.Client) result {
	var next, failed int64
	var group sync.WaitGroup
	before, started := cpu(), time.Now()
	for i := 0; i < *clients; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			dice := rand.New(rand.NewSource(*seed*1_000_003 + int64(i)))
			value := make([]byte, *size)
			for {
				first := int(atomic.AddInt64(&next, int64(*perTxn))) - *perTxn
				if first >= *keys {
					return
				}
				var ops []clientv3.Op
				for n := first; n < first+*perTxn && n < *keys; n++ {
					dice.Read(value)
					ops = append(ops, clientv3.OpPut(key(n), string(value)))
				}
				if _, err := pool[i%len(pool)].Txn(context.Background()).Then(ops...).Commit(); err != nil {
					atomic.AddInt64(&failed, 1)
				}
			}
		}(i)
	}
	group.Wait()
	took := time.Since(started).Seconds()
	out := result{Seconds: took, Requests: int64(*keys), RequestsAll: int64(*keys), CPUSeconds: cpu() - before, Errors: failed}
	out.PerSecond = float64(*keys) / took
	return out
}
