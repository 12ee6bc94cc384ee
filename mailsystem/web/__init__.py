"""The door for people with a browser and for programs: a REST interface, events as they come, and the page.

Nothing of it is brought in before somebody knocks (`server`): who only sends and fetches mail waits for none of it. `app`
puts it together; everything that a request may do stands in `api`, in the words of `shapes`.
"""
