package syslog

import "github.com/udpshard/udpshard/packet/record"

// priorityMembers are the facility and severity of each PRI, as JSON members.
var priorityMembers = makePriorityMembers()

func makePriorityMembers() (members [maxPriority + 1]string) {
	for p := range members {
		members[p] = `"facility":"` + facilities[p/8] + `","severity":"` + severities[p%8] + `",`
	}
	return members
}

// AppendJSON appends the message's record without the handler's tail: the opening brace and the
// members timestamp, hostname, appname, procid, msgid, facility, severity, structured_data and
// message, each only if not empty. The closing brace is not written.
func (m *Message) AppendJSON(dst []byte) []byte {
	// Each member is written with a comma; the last comma is removed.
	dst = append(dst, '{')
	start := len(dst)
	if len(m.Timestamp) > 0 {
		dst = append(dst, `"timestamp":"`...)
		dst = append(dst, m.Timestamp...) // digits and -:.TZ+
		dst = append(dst, '"', ',')
	}
	dst = appendMember(dst, `"hostname":`, m.Hostname)
	dst = appendMember(dst, `"appname":`, m.AppName)
	dst = appendMember(dst, `"procid":`, m.ProcID)
	dst = appendMember(dst, `"msgid":`, m.MsgID)
	if m.HasPriority {
		dst = append(dst, priorityMembers[m.Priority]...)
	}
	if len(m.StructuredData) > 0 {
		dst = append(dst, `"structured_data":`...)
		dst = appendElements(dst, m.StructuredData)
		dst = append(dst, ',')
	}
	if len(m.Text)+len(m.Prefix[0])+len(m.Prefix[1]) > 0 {
		dst = append(dst, `"message":"`...)
		for _, prefix := range m.Prefix {
			dst = append(dst, prefix...) // digits, colons, spaces
		}
		dst = record.AppendText(dst, m.Text)
		dst = append(dst, '"', ',')
	}
	if len(dst) > start {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendMember(dst []byte, key string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, key...)
	dst = record.AppendString(dst, value)
	return append(dst, ',')
}

// appendElements appends an object with an object for each element. The values of a repeated name
// become an array in the place of the first value: an object must not have two members with the
// same name (RFC 8259 section 4), and no value may be lost.
func appendElements(dst []byte, elements []Element) []byte {
	dst = append(dst, '{')
	for i := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = record.AppendString(dst, elements[i].ID)
		dst = append(dst, ':', '{')
		params := elements[i].Params
		for j := range params {
			p := &params[j]
			if p.repeated {
				continue
			}
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = record.AppendString(dst, p.Name)
			dst = append(dst, ':')
			if p.nextSame == 0 {
				dst = p.appendValue(dst)
				continue
			}
			dst = p.appendValue(append(dst, '['))
			for p.nextSame != 0 {
				p = &params[p.nextSame]
				dst = p.appendValue(append(dst, ','))
			}
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
