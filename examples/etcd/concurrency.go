// Session, mutex, election and STM by etcd's Go client, version 3.4. With Debian's golang-etcd-server-dev:
//
//	GOPATH=/usr/share/gocode GO111MODULE=off go run concurrency.go http://127.0.0.1:2379
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	endpoint := "http://127.0.0.1:2379"
	if len(os.Args) > 1 {
		endpoint = os.Args[1]
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second})
	check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	// Sessions: leases of five seconds, which a goroutine keeps alive.
	one, err := concurrency.NewSession(client, concurrency.WithTTL(5))
	check(err)
	two, err := concurrency.NewSession(client, concurrency.WithTTL(5))
	check(err)
	time.Sleep(7 * time.Second)
	lease, err := client.TimeToLive(ctx, one.Lease())
	check(err)
	fmt.Println("session lives on:", lease.TTL > 0)

	// Mutex: the second one waits for the first.
	first, second := concurrency.NewMutex(one, "/lock/"), concurrency.NewMutex(two, "/lock/")
	check(first.Lock(ctx))
	moment, over := context.WithTimeout(ctx, 200*time.Millisecond)
	fmt.Println("second one while it is locked:", second.Lock(moment))
	over()
	got := make(chan error)
	go func() { got <- second.Lock(ctx) }()
	check(first.Unlock(ctx))
	check(<-got)
	guarded, err := client.Txn(ctx).If(second.IsOwner()).Then(clientv3.OpPut("guarded", "by two")).Commit()
	check(err)
	fmt.Println("second one owns it:", guarded.Succeeded)
	check(second.Unlock(ctx))

	// Election: the second one campaigns until the first resigns, and an observer sees both.
	chair, successor := concurrency.NewElection(one, "/chair/"), concurrency.NewElection(two, "/chair/")
	check(chair.Campaign(ctx, "first"))
	observed := chair.Observe(ctx)
	fmt.Println("leader:", string((<-observed).Kvs[0].Value))
	go func() { got <- successor.Campaign(ctx, "second") }()
	check(chair.Resign(ctx))
	check(<-got)
	leader, err := successor.Leader(ctx)
	check(err)
	fmt.Println("leader:", string(leader.Kvs[0].Value))
	for response := range observed {
		if string(response.Kvs[0].Value) == "second" {
			fmt.Println("observer saw:", "second")
			break
		}
	}

	// STM: ten transactions of each of ten goroutines on one counter; none is lost.
	_, err = client.Delete(ctx, "counter")
	check(err)
	var writers sync.WaitGroup
	for range [10]int{} {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for range [10]int{} {
				_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
					count, _ := strconv.Atoi(stm.Get("counter"))
					stm.Put("counter", strconv.Itoa(count+1))
					return nil
				})
				check(err)
			}
		}()
	}
	writers.Wait()
	counter, err := client.Get(ctx, "counter")
	check(err)
	fmt.Println("counter:", string(counter.Kvs[0].Value))

	// A session that ends takes its keys with it.
	check(one.Close())
	<-one.Done()
	_, err = client.KeepAliveOnce(ctx, one.Lease())
	fmt.Println("session closed:", err)
	check(two.Close())
}
