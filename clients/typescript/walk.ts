// Books a flight and cancels it: node walk.ts NEW_USERNAME URL [URL URL]
// The URLs are those of User Management, Task Processing and Notification, or the one of a gateway.

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "pyportal-client";

type Schemas = components["schemas"];
type Portal = Client<paths>;

const PASSWORD = "correct-horse-battery";
const ATTEMPTS = 300;
const PAUSE_MS = 200;

/** The data of a response. Throws the error if there is one. */
function expectData<T>(response: { data?: T; error?: unknown }): T {
  if (response.data === undefined) throw new Error(JSON.stringify(response.error));
  return response.data;
}

/** Create a user and log in. */
async function register(users: Portal, username: string): Promise<Schemas["LoggedIn"]> {
  const credentials = { username, password: PASSWORD };
  const body = { ...credentials, email: `${username}@example.com` };
  const { user } = expectData(await users.POST("/api/v1/airliner/registerUser", { body }));
  console.log(`registered ${user.username}`);
  return expectData(await users.POST("/api/v1/airliner/login", { body: credentials }));
}

/** Book a seat, and wait until the task has ended. Its id is the booking's. */
async function book(tasks: Portal, flight: Schemas["FlightView"]): Promise<number> {
  const parameters = { flightId: flight.flightId, seats: 1 };
  const created = await tasks.POST("/api/v1/airliner/tasks", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { taskType: "flight_booking", parameters },
  });
  let { task } = expectData(created);
  while (task.status === "pending" || task.status === "processing") {
    const params = { path: { task_id: task.taskId }, header: { Prefer: "wait=20" } };
    ({ task } = expectData(await tasks.GET("/api/v1/airliner/tasks/{task_id}", { params })));
  }
  console.log(`the booking is ${task.status}`);
  return task.taskId;
}

/** Wait for a notification of the user. */
async function findNotification(client: Portal, template: string): Promise<Schemas["NotificationView"]> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { items } = expectData(await client.GET("/api/v1/airliner/notifications"));
    const found = items.find((notification) => notification.template === template);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Error("no notification");
}

async function main(username: string, urls: string[]): Promise<void> {
  const [usersUrl = "", tasksUrl = usersUrl, notificationsUrl = usersUrl] = urls;
  const session = await register(createClient<paths>({ baseUrl: usersUrl }), username);
  const headers = { Authorization: `Bearer ${session.session_id}` };
  const tasks = createClient<paths>({ baseUrl: tasksUrl, headers });
  const notifications = createClient<paths>({ baseUrl: notificationsUrl, headers });

  const query = { origin: "LIS", destination: "OSL" };
  const flights = expectData(await tasks.GET("/api/v1/airliner/flights", { params: { query } }));
  const [flight] = flights.items;
  if (!flight) throw new Error("no flight");
  const booking_id = await book(tasks, flight);
  const { notificationId } = await findNotification(notifications, "task_completed");
  const read = await notifications.POST("/api/v1/airliner/notifications/{notification_id}/read", {
    params: { path: { notification_id: notificationId } },
  });
  console.log(`read: ${expectData(read).notification.title}`);
  const cancelled = await tasks.POST("/api/v1/airliner/bookings/{booking_id}/cancel", {
    params: { path: { booking_id } },
  });
  console.log(`the booking is ${expectData(cancelled).booking.status}`);
}

const [username = "", ...urls] = process.argv.slice(2);
await main(username, urls);
