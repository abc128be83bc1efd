// CloudEvents' Go SDK as a command: reads JSON, writes JSON.
//
//	binary | structured   an event with `data_base64` to a Kafka message; its value is written in base64
//	read                  a Kafka message, its value in base64, to an event
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/IBM/sarama"
	kafka "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
)

type message struct {
	Headers map[string]string `json:"headers"`
	Value   string            `json:"value"`
}

func main() {
	var answer any
	if os.Args[1] == "read" {
		answer = read()
	} else {
		answer = written(os.Args[1])
	}
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

func read() event.Event {
	var given message
	check(json.NewDecoder(os.Stdin).Decode(&given))
	value, err := base64.StdEncoding.DecodeString(given.Value)
	check(err)
	received := &sarama.ConsumerMessage{Value: value}
	for name, text := range given.Headers {
		received.Headers = append(received.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(text)})
	}
	found, err := binding.ToEvent(context.Background(), kafka.NewMessageFromConsumerMessage(received))
	check(err)
	return *found
}

func written(mode string) message {
	var given map[string]string
	check(json.NewDecoder(os.Stdin).Decode(&given))
	one := event.New()
	for name, text := range given {
		switch name {
		case "id":
			one.SetID(text)
		case "source":
			one.SetSource(text)
		case "type":
			one.SetType(text)
		case "time":
			at, err := time.Parse(time.RFC3339Nano, text)
			check(err)
			one.SetTime(at)
		case "datacontenttype", "data_base64":
		default:
			one.SetExtension(name, text)
		}
	}
	data, err := base64.StdEncoding.DecodeString(given["data_base64"])
	check(err)
	check(one.SetData(given["datacontenttype"], data))
	how := binding.WithForceBinary
	if mode == "structured" {
		how = binding.WithForceStructured
	}
	sent := &sarama.ProducerMessage{}
	check(kafka.WriteProducerMessage(how(context.Background()), binding.ToMessage(&one), sent))
	value, err := sent.Value.Encode()
	check(err)
	answer := message{Headers: map[string]string{}, Value: base64.StdEncoding.EncodeToString(value)}
	for _, header := range sent.Headers {
		answer.Headers[string(header.Key)] = string(header.Value)
	}
	return answer
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
