"""Contains all the data models used in inputs/outputs"""

from .accepted import Accepted
from .app_confirmation import AppConfirmation
from .app_enrolment import AppEnrolment
from .app_view import AppView
from .attempt_list import AttemptList
from .attempt_view import AttemptView
from .attempt_view_outcome_type_0 import AttemptViewOutcomeType0
from .availability import Availability
from .batch_result import BatchResult
from .batch_result_outcome import BatchResultOutcome
from .batch_view import BatchView
from .booking_cancellation import BookingCancellation
from .booking_envelope import BookingEnvelope
from .booking_list import BookingList
from .booking_view import BookingView
from .booking_view_status import BookingViewStatus
from .data_export import DataExport
from .delivery_envelope import DeliveryEnvelope
from .delivery_list import DeliveryList
from .delivery_view import DeliveryView
from .delivery_view_status import DeliveryViewStatus
from .detail import Detail
from .email_and_password import EmailAndPassword
from .email_and_password_passkey_type_0 import EmailAndPasswordPasskeyType0
from .ended import Ended
from .error_body import ErrorBody
from .event_view import EventView
from .factor_added import FactorAdded
from .factors_view import FactorsView
from .flight_booking import FlightBooking
from .flight_envelope import FlightEnvelope
from .flight_list import FlightList
from .flight_update import FlightUpdate
from .flight_view import FlightView
from .forgotten_password import ForgottenPassword
from .keyed_notification import KeyedNotification
from .keyed_notification_notification import KeyedNotificationNotification
from .list_bookings_status import ListBookingsStatus
from .list_deliveries_event_type import ListDeliveriesEventType
from .list_deliveries_status import ListDeliveriesStatus
from .list_notifications_channel import ListNotificationsChannel
from .list_notifications_status import ListNotificationsStatus
from .list_tasks_status import ListTasksStatus
from .list_tasks_type import ListTasksType
from .listed_session import ListedSession
from .logged_in import LoggedIn
from .new_backup_codes import NewBackupCodes
from .new_batch import NewBatch
from .new_booking_cancellation import NewBookingCancellation
from .new_booking_cancellation_priority import NewBookingCancellationPriority
from .new_data_export import NewDataExport
from .new_data_export_priority import NewDataExportPriority
from .new_event import NewEvent
from .new_event_data import NewEventData
from .new_event_type import NewEventType
from .new_flight import NewFlight
from .new_flight_booking import NewFlightBooking
from .new_flight_booking_priority import NewFlightBookingPriority
from .new_passkey import NewPasskey
from .new_passkey_credential import NewPasskeyCredential
from .new_secret_envelope import NewSecretEnvelope
from .new_webhook import NewWebhook
from .new_webhook_event_types_type_0_item import NewWebhookEventTypesType0Item
from .new_webhook_view import NewWebhookView
from .notification_envelope import NotificationEnvelope
from .notification_list import NotificationList
from .notification_view import NotificationView
from .notification_view_channel import NotificationViewChannel
from .notification_view_status import NotificationViewStatus
from .page_session_out import PageSessionOut
from .passkey_options import PasskeyOptions
from .passkey_options_options import PasskeyOptionsOptions
from .passkey_view import PasskeyView
from .password_change import PasswordChange
from .password_reset import PasswordReset
from .preference_change import PreferenceChange
from .preference_change_category import PreferenceChangeCategory
from .preference_change_channel import PreferenceChangeChannel
from .preference_changes import PreferenceChanges
from .preference_view import PreferenceView
from .preference_view_category import PreferenceViewCategory
from .preference_view_channel import PreferenceViewChannel
from .preferences_view import PreferencesView
from .problem_details import ProblemDetails
from .rate_limited import RateLimited
from .reauthentication import Reauthentication
from .reauthentication_passkey_type_0 import ReauthenticationPasskeyType0
from .recovery_view import RecoveryView
from .registered import Registered
from .registration import Registration
from .removal_view import RemovalView
from .renewed_session import RenewedSession
from .session_expiry import SessionExpiry
from .session_list import SessionList
from .session_out import SessionOut
from .session_view import SessionView
from .session_view_factors import SessionViewFactors
from .session_view_user_data import SessionViewUserData
from .status_view import StatusView
from .status_view_status import StatusViewStatus
from .task_envelope import TaskEnvelope
from .task_list import TaskList
from .task_view import TaskView
from .task_view_details import TaskViewDetails
from .task_view_parameters import TaskViewParameters
from .task_view_priority import TaskViewPriority
from .task_view_status import TaskViewStatus
from .template_notification import TemplateNotification
from .template_notification_channel import TemplateNotificationChannel
from .template_notification_data import TemplateNotificationData
from .template_notification_template import TemplateNotificationTemplate
from .text_notification import TextNotification
from .text_notification_channel import TextNotificationChannel
from .unread_view import UnreadView
from .user_envelope import UserEnvelope
from .user_list import UserList
from .user_update import UserUpdate
from .user_view import UserView
from .username_and_password import UsernameAndPassword
from .username_and_password_passkey_type_0 import UsernameAndPasswordPasskeyType0
from .verification import Verification
from .webhook_changes import WebhookChanges
from .webhook_changes_event_types_type_0_item import WebhookChangesEventTypesType0Item
from .webhook_envelope import WebhookEnvelope
from .webhook_list import WebhookList
from .webhook_view import WebhookView

__all__ = (
    "Accepted",
    "AppConfirmation",
    "AppEnrolment",
    "AppView",
    "AttemptList",
    "AttemptView",
    "AttemptViewOutcomeType0",
    "Availability",
    "BatchResult",
    "BatchResultOutcome",
    "BatchView",
    "BookingCancellation",
    "BookingEnvelope",
    "BookingList",
    "BookingView",
    "BookingViewStatus",
    "DataExport",
    "DeliveryEnvelope",
    "DeliveryList",
    "DeliveryView",
    "DeliveryViewStatus",
    "Detail",
    "EmailAndPassword",
    "EmailAndPasswordPasskeyType0",
    "Ended",
    "ErrorBody",
    "EventView",
    "FactorAdded",
    "FactorsView",
    "FlightBooking",
    "FlightEnvelope",
    "FlightList",
    "FlightUpdate",
    "FlightView",
    "ForgottenPassword",
    "KeyedNotification",
    "KeyedNotificationNotification",
    "ListBookingsStatus",
    "ListDeliveriesEventType",
    "ListDeliveriesStatus",
    "ListedSession",
    "ListNotificationsChannel",
    "ListNotificationsStatus",
    "ListTasksStatus",
    "ListTasksType",
    "LoggedIn",
    "NewBackupCodes",
    "NewBatch",
    "NewBookingCancellation",
    "NewBookingCancellationPriority",
    "NewDataExport",
    "NewDataExportPriority",
    "NewEvent",
    "NewEventData",
    "NewEventType",
    "NewFlight",
    "NewFlightBooking",
    "NewFlightBookingPriority",
    "NewPasskey",
    "NewPasskeyCredential",
    "NewSecretEnvelope",
    "NewWebhook",
    "NewWebhookEventTypesType0Item",
    "NewWebhookView",
    "NotificationEnvelope",
    "NotificationList",
    "NotificationView",
    "NotificationViewChannel",
    "NotificationViewStatus",
    "PageSessionOut",
    "PasskeyOptions",
    "PasskeyOptionsOptions",
    "PasskeyView",
    "PasswordChange",
    "PasswordReset",
    "PreferenceChange",
    "PreferenceChangeCategory",
    "PreferenceChangeChannel",
    "PreferenceChanges",
    "PreferencesView",
    "PreferenceView",
    "PreferenceViewCategory",
    "PreferenceViewChannel",
    "ProblemDetails",
    "RateLimited",
    "Reauthentication",
    "ReauthenticationPasskeyType0",
    "RecoveryView",
    "Registered",
    "Registration",
    "RemovalView",
    "RenewedSession",
    "SessionExpiry",
    "SessionList",
    "SessionOut",
    "SessionView",
    "SessionViewFactors",
    "SessionViewUserData",
    "StatusView",
    "StatusViewStatus",
    "TaskEnvelope",
    "TaskList",
    "TaskView",
    "TaskViewDetails",
    "TaskViewParameters",
    "TaskViewPriority",
    "TaskViewStatus",
    "TemplateNotification",
    "TemplateNotificationChannel",
    "TemplateNotificationData",
    "TemplateNotificationTemplate",
    "TextNotification",
    "TextNotificationChannel",
    "UnreadView",
    "UserEnvelope",
    "UserList",
    "UsernameAndPassword",
    "UsernameAndPasswordPasskeyType0",
    "UserUpdate",
    "UserView",
    "Verification",
    "WebhookChanges",
    "WebhookChangesEventTypesType0Item",
    "WebhookEnvelope",
    "WebhookList",
    "WebhookView",
)
