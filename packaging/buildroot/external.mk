include $(sort $(wildcard $(BR2_EXTERNAL_FLEETCAST_PATH)/package/*/*.mk))
