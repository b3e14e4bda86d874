package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Stream keeps events, in order for each visitor.
type Stream interface {
	Append(context.Context, []Event) error
	Check(context.Context) error
}

// Kafka is the stream of the whole shop.
type Kafka struct{ client *kgo.Client }

// OpenKafka knows the brokers; it connects when it is first needed.
func OpenKafka(brokers, name string) (*Kafka, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ClientID(name),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), // every client can read it
		kgo.RecordDeliveryTimeout(4*time.Second),
		kgo.UnknownTopicRetries(1),
	)
	return &Kafka{client}, err
}

// Append returns when the brokers have every event.
func (k *Kafka) Append(ctx context.Context, events []Event) error {
	records, err := records(events)
	if err != nil {
		return err
	}
	return k.client.ProduceSync(ctx, records...).FirstErr()
}

// records leaves their own time to the client, which counts its patience from it: an event may have waited for days.
func records(events []Event) ([]*kgo.Record, error) {
	records := make([]*kgo.Record, len(events))
	for i, event := range events {
		value, err := json.Marshal(event)
		if err != nil {
			return nil, err
		}
		// The visitor is the key: what one visitor did stays in the order in which it happened.
		records[i] = &kgo.Record{Topic: event.Topic(), Key: []byte(event.Visitor), Value: value}
	}
	return records, nil
}

// Check asks a broker for a sign of life.
func (k *Kafka) Check(ctx context.Context) error { return k.client.Ping(ctx) }

// Close sends what is still on its way.
func (k *Kafka) Close() { k.client.Close() }
