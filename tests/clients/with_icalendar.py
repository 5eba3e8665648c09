"""Reads the calendar on standard input with the `icalendar` library and prints its events."""

import json
import sys

from icalendar import Calendar

calendar = Calendar.from_ical(sys.stdin.buffer.read())
events = [
    {
        "uid": str(event["UID"]),
        "summary": str(event["SUMMARY"]),
        "starts": event.decoded("DTSTART").isoformat(),
        "stamped": event.decoded("DTSTAMP").isoformat(),
        "url": str(event["URL"]),
    }
    for event in calendar.walk("VEVENT")
]
print(json.dumps({"version": str(calendar["VERSION"]), "prodid": str(calendar["PRODID"]), "events": events}))
